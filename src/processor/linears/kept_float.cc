#include "processor/linears/kept_float.h"

#include <algorithm>

namespace modelslim {

bool TakesLinear(const Selection& selection, const ModuleInfo& module) {
  if (module.kind != ModuleKind::kLinear || !selection.Selects(module.name)) return false;
  if (!module.kept_float) return true;
  const std::string& word = module.kept_float->word;
  const std::vector<Pattern>& include = selection.include.items;
  return !word.empty() && std::any_of(include.begin(), include.end(), [&](const Pattern& pattern) {
    return pattern.text.find(word) != std::string::npos && pattern.compiled->Matches(module.name);
  });
}

}  // namespace modelslim
