#include "plan/v0_layers.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "config/patterns/fnmatch.h"
#include "config/recipe/diagnostic.h"
#include "plan/entries.h"

namespace modelslim {
namespace {

// Above this ratio of the largest input to the deviation of all, act_method 3 takes extremes.
constexpr double kHistogramRatio = 50;

std::vector<std::string> LinearNames(const std::vector<ModuleInfo>& modules) {
  std::vector<std::string> names;
  for (const ModuleInfo& module : modules) {
    if (module.kind == ModuleKind::kLinear) names.push_back(module.name);
  }
  return names;
}

// Those that may be named: linears wherever they are, and attentions.
std::vector<std::string> NamesThatExist(const Family& family) {
  std::vector<std::string> names;
  for (const BlockInfo& block : family.layout().blocks) {
    for (std::string& name : LinearNames(block.modules)) names.push_back(std::move(name));
    names.insert(names.end(), block.attention.begin(), block.attention.end());
  }
  for (std::string& name : LinearNames(family.layout().rest)) names.push_back(std::move(name));
  return names;
}

void CollectUnknown(const Recipe& recipe, const NameList& list, const std::string& path,
                    const std::vector<std::string>& names, std::string* text) {
  const std::set<std::string_view> known(names.begin(), names.end());
  for (size_t i = 0; i < list.items.size(); ++i) {
    const auto& [name, pos] = list.items[i];
    if (known.contains(name)) continue;
    const std::string nearest = NearestWord(name, names);
    *text += (text->empty() ? "" : "\n") + PlaceOf(recipe, pos, path + "[" + std::to_string(i) + "]") +
             ": the model has no linear layer or attention '" + name + "'" +
             (nearest.empty() ? "" : "; the nearest is '" + nearest + "'");
  }
}

V0QuantType MixedType(V0MixType type, const V0CalibConfig& c) {
  switch (type) {
    case V0MixType::kFloat:
      return V0QuantType::kFloat;
    case V0MixType::kW8A8:
      return c.pdmix ? V0QuantType::kW8A8Mix : V0QuantType::kW8A8;
    case V0MixType::kW8A16:
      return V0QuantType::kW8A16;
    case V0MixType::kW8A8Dynamic:
      return V0QuantType::kW8A8Dynamic;
    case V0MixType::kW4A8Dynamic:
      return V0QuantType::kW4A8Dynamic;
  }
  return V0QuantType::kFloat;
}

// Roll-back list before exact names, these before patterns in the order of the file, the configuration last.
V0QuantType TypeOf(const std::string& name, const V0Spec& spec) {
  const V0CalibConfig& c = spec.calib_cfg;
  if (c.disable_names.Contains(name)) return V0QuantType::kFloat;
  const std::vector<V0CalibParams::Mix>& mix = spec.calib_params.mix_cfg;
  for (const V0CalibParams::Mix& each : mix) {
    if (each.pattern == name) return MixedType(each.type, c);
  }
  for (const V0CalibParams::Mix& each : mix) {
    if (FnMatch(each.pattern, name)) return MixedType(each.type, c);
  }
  return c.effective.type;
}

// The n layers with the highest scores go back to float; of equal ones the first.
void RollBack(const V0Spec& spec, const InputRanges& ranges, std::vector<V0Layer>* layers) {
  const bool lowbit = spec.calib_cfg.is_lowbit;
  std::vector<std::pair<double, V0Layer*>> scored;
  for (V0Layer& layer : *layers) {
    const auto range = ranges.find(layer.name);
    if (layer.type == V0QuantType::kFloat || range == ranges.end()) continue;
    scored.emplace_back(lowbit ? static_cast<double>(range->second.absmax) : range->second.Ratio(), &layer);
  }
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  const size_t count = std::min(scored.size(), static_cast<size_t>(spec.calib_params.disable_level));
  for (size_t i = 0; i < count; ++i) scored[i].second->type = V0QuantType::kFloat;
}

}  // namespace

void CheckV0Names(const Recipe& recipe, const Family& family) {
  const V0Spec& spec = *recipe.v0;
  const std::vector<std::string> names = NamesThatExist(family);
  std::string unknown;
  CollectUnknown(recipe, spec.calib_cfg.disable_names, "spec.calib_cfg.disable_names", names, &unknown);
  if (spec.anti_cfg) {
    CollectUnknown(recipe, spec.anti_cfg->disable_anti_names, "spec.anti_cfg.disable_anti_names", names, &unknown);
  }
  if (unknown.empty()) return;
  throw Error(ErrorCode::kSchema, unknown,
              "give full module names of this model (no wildcards), or take these entries out");
}

bool V0LooksAtData(const V0Spec& spec) {
  if (!spec.calib_dataset) return false;
  const V0CalibConfig& c = spec.calib_cfg;
  const bool is_static = c.effective.type == V0QuantType::kW8A8 || c.effective.type == V0QuantType::kW8A8Mix ||
                         c.effective.type == V0QuantType::kW8A8S;
  return spec.calib_params.disable_level > 0 || (c.act_method == 3 && is_static);
}

std::vector<V0Layer> V0Layers(const Recipe& recipe, const Family& family, const InputRanges* ranges) {
  const V0Spec& spec = *recipe.v0;
  std::vector<V0Layer> layers;
  for (const BlockInfo& block : family.layout().blocks) {
    for (const std::string& name : LinearNames(block.modules)) layers.push_back({name, TypeOf(name, spec)});
  }
  if (!spec.calib_cfg.disable_last_linear) {
    for (const std::string& name : LinearNames(family.layout().rest)) layers.push_back({name, TypeOf(name, spec)});
  }
  if (ranges != nullptr) RollBack(spec, *ranges, &layers);
  for (V0Layer& layer : layers) {
    layer.histogram = spec.calib_cfg.act_method == 2;
    if (spec.calib_cfg.act_method != 3 || ranges == nullptr) continue;
    const auto range = ranges->find(layer.name);
    layer.histogram = range != ranges->end() && range->second.Ratio() <= kHistogramRatio;
  }
  return layers;
}

}  // namespace modelslim
