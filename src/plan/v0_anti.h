// Outlier suppression of modelslim_v0 as steps.
#pragma once

#include <vector>

#include "config/recipe/recipe.h"
#include "model/family.h"
#include "plan/job.h"

namespace modelslim {

// The steps of anti_cfg, which must be there. What is ours and not the original's is said in `notes`.
std::vector<ProcessorConfig> V0AntiSteps(const Recipe& recipe, const Family& family, PlanNotes* notes);

}  // namespace modelslim
