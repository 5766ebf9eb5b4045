// modelslim_v0 as a job: outlier suppression, the ranges of the cache, and quantization are stages of it.
#pragma once

#include <optional>

#include "plan/lower.h"

namespace modelslim {

// As in lower.h, for recipes that have a v0 spec.
std::optional<Job> DecidingJobOfV0(const Recipe& recipe, const Family& family);
Job LowerV0(const Recipe& recipe, const Family& family, const InputRanges* ranges);

}  // namespace modelslim
