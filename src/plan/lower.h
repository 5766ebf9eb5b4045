// From a recipe of any service to jobs.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "config/recipe/recipe.h"
#include "model/family.h"
#include "plan/job.h"
#include "processor/processor.h"

namespace modelslim {

// What a recipe needs to know of the data before its output can be planned (disable_level and act_method 3 of
// modelslim_v0): a job without output that leaves the ranges of inputs. Nothing for all other recipes.
std::optional<Job> DecidingJob(const Recipe& recipe, const Family& family);

// What the recipe comes down to on this model. `ranges`: what the deciding job found; null before it has run, when the
// job is what it will be save for what the data decide, and says so in its notes. Throws Error(kToDo) for services that
// this version cannot run, Error(kUnsupported) for what it cannot do of others, Error(kSchema) for names that the model
// does not have.
Job LowerRecipe(const Recipe& recipe, const Family& family, const InputRanges* ranges);

}  // namespace modelslim
