// A modelslim_v0 recipe as one of modelslim_v1 that computes the same.
#pragma once

#include <string>
#include <vector>

#include "config/recipe/recipe.h"

namespace modelslim {

struct ConvertedRecipe {
  std::string text;                    // YAML; empty where there is no equivalent
  std::vector<std::string> obstacles;  // "spec.calib_cfg.pdmix: ...": what modelslim_v1 has no equivalent for
};

// The tensors that both services write get the same bytes; files and their names differ, and so does which tensors
// there are (W8A8 of modelslim_v0 also has weight_scale and weight_offset, and all norms have a bias after m1 and m3).
ConvertedRecipe ConvertV0(const Recipe& recipe);

}  // namespace modelslim
