// The one exception type of the project (public, see there), and checks of our own assumptions. Error is thrown for
// whatever ends a run; outcomes that a caller expects (a tensor that may be absent, a kernel that declines) are return
// values instead.
#pragma once

#include "modelslim/error.h"

namespace modelslim {

// Ends the program when one of our own assumptions is broken. Never for what a user's file may contain.
#define MODELSLIM_CHECK(condition)                                              \
  do {                                                                          \
    if (!(condition)) ::modelslim::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace modelslim
