// What the servers would make of the planned output.
#pragma once

#include <vector>

#include "config/recipe/recipe.h"
#include "plan/plan.h"
#include "servers/server.h"

namespace modelslim {

// Adds to the notes what the rules for the servers find: a warning where one that was run (or that the user named)
// would refuse the output or compute something else, a remark for the rest. Names the recipe's entry, and its pattern
// where that reaches a layer that the family keeps float. The layout of the plan must be made.
void ReportServers(const Recipe& recipe, const std::vector<ProcessorConfig>& process, const ServerChoice& servers,
                   RunPlan& plan);

}  // namespace modelslim
