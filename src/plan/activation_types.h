// The types that activations will have in the passes of a run.
#pragma once

#include <vector>

#include "model/family.h"
#include "plan/job.h"

namespace modelslim {

// A deployed layer puts out f32 whatever the model's type, a replaced norm does, and f32 spreads from there: along the
// block, and to later blocks if the last step that needs data sees it. What comes out of that is not for a rule here to
// know: a pass without tokens goes through every block as it will stand at every step, and shows it. The steps are told
// the types of the keys and values of their own pass. No weight is read. Fills in PlannedStage::types.
void PlanActivationTypes(const Family& family, std::vector<PlannedStage>& stages, ModelPlan& plan);

}  // namespace modelslim
