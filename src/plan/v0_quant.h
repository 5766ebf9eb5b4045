// Quantization of modelslim_v0 as linear_quant steps.
#pragma once

#include <vector>

#include "config/recipe/recipe.h"
#include "plan/v0_layers.h"

namespace modelslim {

// Throws Error(kUnsupported) with the place for what calib_cfg asks for and this version cannot compute.
void CheckV0Quantization(const Recipe& recipe);

// One step, or a group of one for each kind of layer among `layers`.
std::vector<ProcessorConfig> V0QuantSteps(const Recipe& recipe, const std::vector<V0Layer>& layers);

}  // namespace modelslim
