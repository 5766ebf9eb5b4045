#include "plan/entries.h"

#include <fmt/format.h>

namespace modelslim {
namespace {

RecipeEntry EntryOf(const ProcessorConfig& config) {
  if (const auto* own = config.As<LinearQuantConfig>()) return {&config, &own->select, Target::kLinears};
  if (const auto* own = config.As<FloatSparseConfig>()) return {&config, &own->select, Target::kLinears};
  if (const auto* own = config.As<SmoothQuantConfig>()) return {&config, &own->select, Target::kSources};
  if (const auto* own = config.As<IterSmoothConfig>()) return {&config, &own->select, Target::kSources};
  if (const auto* own = config.As<FlexSmoothConfig>()) return {&config, &own->select, Target::kSources};
  if (const auto* own = config.As<FlexAwqSszConfig>()) return {&config, &own->select, Target::kSources};
  if (const auto* own = config.As<AwqConfig>()) return {&config, &own->select, Target::kSources};
  if (const auto* own = config.As<KvSmoothConfig>()) return {&config, &own->select, Target::kAttention};
  if (const auto* own = config.As<DynamicCacheConfig>()) return {&config, &own->select, Target::kAttention};
  if (const auto* own = config.As<Fa3Config>()) return {&config, &own->select, Target::kAttention};
  if (const auto* own = config.As<OnlineQuarotConfig>()) return {&config, &own->select, Target::kRotations};
  return {&config, nullptr, Target::kLinears};
}

}  // namespace

std::vector<RecipeEntry> EntriesOf(const std::vector<ProcessorConfig>& process) {
  std::vector<RecipeEntry> entries;
  for (const ProcessorConfig& config : process) {
    if (const auto* group = config.As<GroupConfig>()) {
      const std::vector<RecipeEntry> members = EntriesOf(group->configs);
      entries.insert(entries.end(), members.begin(), members.end());
    } else {
      entries.push_back(EntryOf(config));
    }
  }
  return entries;
}

std::string PlaceOf(const Recipe& recipe, SourcePos pos, const std::string& path) {
  if (!pos.known()) return fmt::format("{} ({})", recipe.file, path);
  return fmt::format("{}:{}:{} ({})", recipe.file, pos.line, pos.column, path);
}

SourcePos PosOf(const Recipe& recipe, std::string_view path) {
  for (const EffectiveValue& value : recipe.values) {
    if (value.path == path) return value.pos;
  }
  return {};
}

}  // namespace modelslim
