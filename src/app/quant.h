// `modelslim quant` and `modelslim plan` as functions.
#pragma once

#include <ostream>

#include "app/plan_text.h"
#include "app/session.h"

namespace modelslim {

// Plans, runs, publishes, reads back. Prints plan and summary to `out`. Throws Error or Stopped.
void Quantize(JobArguments arguments, std::ostream& out);

// Plans and prints. `json`: as JSON instead of text.
void ShowPlan(JobArguments arguments, bool tensors, bool json, std::ostream& out);

}  // namespace modelslim
