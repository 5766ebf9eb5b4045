// The entries of a recipe with what their patterns are matched against, groups opened.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/recipe/recipe.h"

namespace modelslim {

// What a processor's patterns are matched against.
enum class Target { kLinears, kSources, kAttention, kRotations };

struct RecipeEntry {
  const ProcessorConfig* config = nullptr;
  const Selection* selection = nullptr;  // null: it has no patterns
  Target target = Target::kLinears;
};

// In order; a group stands for its members. Points into `process`.
std::vector<RecipeEntry> EntriesOf(const std::vector<ProcessorConfig>& process);

// "recipe.yaml:7:12 (spec.process[0].include[1])"
std::string PlaceOf(const Recipe& recipe, SourcePos pos, const std::string& path);
// Where the value of `path` stands; unknown where the recipe does not give it.
SourcePos PosOf(const Recipe& recipe, std::string_view path);

}  // namespace modelslim
