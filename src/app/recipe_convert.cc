#include "app/recipe_convert.h"

#include <ostream>

#include "base/error.h"
#include "config/recipe/convert_v0.h"

namespace modelslim {

void ConvertRecipe(const std::string& file, std::ostream& out) {
  Diagnostics diagnostics;
  const Recipe recipe = LoadRecipeOrThrow(file, diagnostics);
  if (!recipe.v0) {
    throw Error(ErrorCode::kSchema,
                file + ": expected a modelslim_v0 recipe, found " + std::string(EnumName(recipe.api_version)),
                "nothing needs to be converted");
  }
  const ConvertedRecipe converted = ConvertV0(recipe);
  if (converted.obstacles.empty()) {
    out << converted.text;
    return;
  }
  std::string text = file + ": no modelslim_v1 recipe computes the same";
  for (const std::string& obstacle : converted.obstacles) text += "\n  " + obstacle;
  throw Error(ErrorCode::kUnsupported, text, "run the recipe as it is; modelslim_v0 is supported");
}

}  // namespace modelslim
