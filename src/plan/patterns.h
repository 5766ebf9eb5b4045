// What the include and exclude patterns of a recipe meet in this model, told before anything is loaded.
#pragma once

#include <vector>

#include "config/recipe/recipe.h"
#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

// Adds a warning for every pattern that matches nothing it could act on, names what it matches instead (modules that no
// step visits, such as lm_head), and for entries that come to nothing because earlier ones took their layers.
void ReportPatterns(const Recipe& recipe, const std::vector<ProcessorConfig>& process, const Family& family,
                    ModelPlan& plan);

}  // namespace modelslim
