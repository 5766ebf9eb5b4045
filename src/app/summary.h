// What a finished run has to say.
#pragma once

#include <ostream>

#include "app/session.h"
#include "app/verify.h"
#include "runner/run.h"

namespace modelslim {

// Types, bits per weight, sizes, times, forwards, memory, the worst tensors. `verified` may be null. `peak_memory`:
// anonymous, bytes.
void PrintSummary(const Session& session, const RunReport& report, const VerifyReport* verified, uint64_t peak_memory,
                  std::ostream& out);

}  // namespace modelslim
