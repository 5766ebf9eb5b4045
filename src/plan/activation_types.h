// The types that activations will have in the passes of a run.
#pragma once

#include <memory>
#include <vector>

#include "model/family.h"
#include "processor/processor.h"

namespace modelslim {

// A deployed layer puts out f32 whatever the model's type, a replaced norm does, and f32 spreads from there: along the
// block, and to later blocks if the last step that needs data sees it. What comes out of that is not for a rule here to
// know: a pass without tokens goes through every block as it will stand at every step, and shows it. The steps are told
// the types of the keys and values of their own pass. No weight is read. Returned is, for every block and step, the
// wider of the types that enter and leave the step's pass.
using PassTypes = std::vector<std::vector<DType>>;
PassTypes PlanActivationTypes(const Family& family, const std::vector<std::unique_ptr<Processor>>& processors,
                              ModelPlan& plan);

}  // namespace modelslim
