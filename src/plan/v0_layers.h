// What modelslim_v0 makes of each linear layer: roll-back list, exact names, patterns, and what the data decide.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/recipe/recipe.h"
#include "model/family.h"
#include "processor/input_ranges.h"

namespace modelslim {

// A linear of the model and what it becomes.
struct V0Layer {
  std::string name;
  V0QuantType type = V0QuantType::kFloat;
  bool histogram = false;  // static input: by its histogram instead of its extremes
};

// Throws Error(kSchema) listing, with places and nearest names, the entries of disable_names that the model lacks.
void CheckV0Names(const Recipe& recipe, const Family& family);

// The linears of the blocks, and the last one of the model where disable_last_linear is false, in module order.
// `ranges`: null before the data have been looked at, when disable_level rolls nothing back and act_method 3 is
// min-max.
std::vector<V0Layer> V0Layers(const Recipe& recipe, const Family& family, const InputRanges* ranges);

// Whether disable_level or act_method 3 asks for a look at the data.
bool V0LooksAtData(const V0Spec& spec);

}  // namespace modelslim
