// --quant_type for models that are known by the names of their tensors only: a practice of the architecture whose steps
// need no data, else a recipe of ours.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "config/recipe/recipe.h"
#include "io/json.h"

namespace modelslim {

// What --quant_type takes beside QuantTypes() for such models: "w8a8_mxfp8", ...
const std::vector<std::string>& NamesQuantTypes();

struct NamesPractice {
  std::string name;  // a file, or what it is in words
  std::string text;  // the recipe
};

// Throws Error(kUnsupported) where neither is there for the type.
NamesPractice ChooseNamesPractice(const Json& config, const std::string& model_type, const std::string& quant_type);

}  // namespace modelslim
