// Whatever the bytes are, reading them as a recipe ends with a recipe or with diagnostics that can be printed.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/recipe/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  modelslim::Diagnostics diagnostics;
  const modelslim::Recipe recipe = modelslim::ParseRecipe(text, "fuzz.yaml", diagnostics);
  size_t length = recipe.values.size();
  for (const modelslim::Diagnostic& each : diagnostics.items()) {
    length += modelslim::RenderDiagnostic(each, text).size();
  }
  const modelslim::TextSpec* spec = recipe.text();
  if (!diagnostics.HasErrors() && spec != nullptr) {
    for (const modelslim::ProcessorConfig& each : spec->process) {
      if (const auto* linear = each.As<modelslim::LinearQuantConfig>())
        length += linear->select.Selects("model.layers.0.mlp.up_proj");
    }
  }
  return length == static_cast<size_t>(-1) ? 1 : 0;
}
