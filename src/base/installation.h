// Where the directories that ship with the program are.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

// The program and its version, as --version prints it.
inline constexpr const char* kProgramVersion = "modelslim 0.1.0";

// Existing directories called `name`, first choice first: $MODELSLIM_HOME/NAME, share/modelslim/NAME beside the
// program's bin directory, and NAME in the source tree that the program was built in (found upwards from the program).
std::vector<fs::path> ShippedDirectories(const std::string& name);

}  // namespace modelslim
