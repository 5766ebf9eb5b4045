#include "plan/patterns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "config/recipe/diagnostic.h"

namespace modelslim {
namespace {

// What a processor's patterns are matched against.
enum class Target { kLinears, kSources, kAttention, kRotations };

struct Names {
  std::vector<std::string> linears, sources, attention, rotations, unvisited, all;
};

Names NamesOf(const Family& family) {
  Names names;
  for (const BlockInfo& block : family.layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      names.all.push_back(module.name);
      if (module.kind == ModuleKind::kLinear) names.linears.push_back(module.name);
    }
    names.attention.insert(names.attention.end(), block.attention.begin(), block.attention.end());
    for (const Subgraph& group : family.Subgraphs(block.index)) names.sources.push_back(group.source);
    for (const RotationSite& site : family.RotationSites(block.index)) names.rotations.push_back(site.name);
  }
  names.all.insert(names.all.end(), names.attention.begin(), names.attention.end());
  for (const ModuleInfo& module : family.layout().rest) names.unvisited.push_back(module.name);
  return names;
}

struct Selected {
  const Selection* selection = nullptr;
  Target target = Target::kLinears;
};

Selected SelectionOf(const ProcessorConfig& config) {
  if (const auto* own = config.As<LinearQuantConfig>()) return {&own->select, Target::kLinears};
  if (const auto* own = config.As<FloatSparseConfig>()) return {&own->select, Target::kLinears};
  if (const auto* own = config.As<SmoothQuantConfig>()) return {&own->select, Target::kSources};
  if (const auto* own = config.As<IterSmoothConfig>()) return {&own->select, Target::kSources};
  if (const auto* own = config.As<FlexSmoothConfig>()) return {&own->select, Target::kSources};
  if (const auto* own = config.As<FlexAwqSszConfig>()) return {&own->select, Target::kSources};
  if (const auto* own = config.As<AwqConfig>()) return {&own->select, Target::kSources};
  if (const auto* own = config.As<KvSmoothConfig>()) return {&own->select, Target::kAttention};
  if (const auto* own = config.As<DynamicCacheConfig>()) return {&own->select, Target::kAttention};
  if (const auto* own = config.As<Fa3Config>()) return {&own->select, Target::kAttention};
  if (const auto* own = config.As<OnlineQuarotConfig>()) return {&own->select, Target::kRotations};
  return {};
}

const std::vector<std::string>& Candidates(const Names& names, Target target) {
  const std::array<const std::vector<std::string>*, 4> lists = {&names.linears, &names.sources, &names.attention,
                                                                &names.rotations};
  return *lists[static_cast<size_t>(target)];
}

std::string_view TargetText(Target target) {
  constexpr std::array<std::string_view, 4> kTexts = {"linear layer", "smoothing group (its source is what counts)",
                                                      "attention module", "place for a rotation"};
  return kTexts[static_cast<size_t>(target)];
}

const std::string* FirstMatch(const Pattern& pattern, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (pattern.compiled->Matches(name)) return &name;
  }
  return nullptr;
}

class Reporter {
 public:
  Reporter(const Recipe& recipe, const Family& family, ModelPlan& plan)
      : recipe_(recipe), names_(NamesOf(family)), plan_(plan) {}

  void Report(const std::vector<ProcessorConfig>& process) {
    for (const ProcessorConfig& config : process) {
      if (const auto* group = config.As<GroupConfig>()) {
        Report(group->configs);
        continue;
      }
      const Selected selected = SelectionOf(config);
      if (selected.selection == nullptr) continue;
      ReportList(config, "include", selected.selection->include, selected.target);
      ReportList(config, "exclude", selected.selection->exclude, selected.target);
      ReportEntry(config, selected);
    }
  }

 private:
  void ReportList(const ProcessorConfig& config, std::string_view key, const PatternList& list, Target target) {
    const std::vector<std::string>& candidates = Candidates(names_, target);
    for (size_t i = 0; i < list.items.size(); ++i) {
      const Pattern& pattern = list.items[i];
      if (pattern.text.empty() || FirstMatch(pattern, candidates) != nullptr) continue;
      const std::string where = Where(pattern.pos, fmt::format("{}.{}[{}]", config.path, key, i));
      std::string text = fmt::format("'{}' matches no {} of this model", pattern.text, TargetText(target));
      if (const std::string* name = FirstMatch(pattern, names_.unvisited)) {
        text += fmt::format("; it matches {}, which lies outside of the decoder layers and is never changed", *name);
      } else if (const std::string* other = FirstMatch(pattern, names_.all)) {
        text += fmt::format("; it matches {}, which {} does not act on", *other, config.type);
      } else if (pattern.text.find_first_of("*?[{") == std::string::npos) {
        const std::string nearest = NearestWord(pattern.text, candidates);
        if (!nearest.empty()) text += fmt::format("; did you mean '{}'?", nearest);
      }
      plan_.Warn(where, text);
    }
  }

  void ReportEntry(const ProcessorConfig& config, const Selected& selected) {
    size_t chosen = 0, shadowed = 0;
    for (const std::string& name : Candidates(names_, selected.target)) {
      if (!selected.selection->Selects(name)) continue;
      ++chosen;
      const auto decision = plan_.linears.find(name);
      if (decision == plan_.linears.end()) continue;
      const std::vector<std::string>& later = decision->second.shadowed;
      if (std::find(later.begin(), later.end(), config.path) != later.end()) ++shadowed;
    }
    const std::string where = Where(config.pos, config.path);
    if (chosen == 0) {
      plan_.Warn(where, fmt::format("{} selects nothing", config.type));
    } else if (shadowed > 0) {
      plan_.Inform(where, fmt::format("{} of the {} layers it selects were taken by an earlier entry, which wins",
                                      shadowed, chosen));
    }
  }

  std::string Where(SourcePos pos, const std::string& path) const {
    if (!pos.known()) return fmt::format("{} ({})", recipe_.file, path);
    return fmt::format("{}:{}:{} ({})", recipe_.file, pos.line, pos.column, path);
  }

  const Recipe& recipe_;
  Names names_;
  ModelPlan& plan_;
};

// The engine's name of the fused layer that `name` becomes a part of; empty when it stays alone.
std::string FusedName(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {{"q_proj", "qkv_proj"},
                                                                      {"k_proj", "qkv_proj"},
                                                                      {"v_proj", "qkv_proj"},
                                                                      {"gate_proj", "gate_up_proj"},
                                                                      {"up_proj", "gate_up_proj"},
                                                                      {"q_a_proj", "fused_qkv_a_proj"},
                                                                      {"kv_a_proj_with_mqa", "fused_qkv_a_proj"}};
  // All projections of all experts of a block are one module for the engine.
  if (const size_t experts = name.find(".experts."); experts != std::string::npos) return name.substr(0, experts + 8);
  const size_t dot = name.rfind('.');
  for (const auto& [part, fused] : kParts) {
    if (name.substr(dot + 1) == part) return name.substr(0, dot + 1) + std::string(fused);
  }
  return "";
}

}  // namespace

void ReportPatterns(const Recipe& recipe, const std::vector<ProcessorConfig>& process, const Family& family,
                    ModelPlan& plan) {
  Reporter(recipe, family, plan).Report(process);
}

void ReportFusedGroups(const Family& family, ModelPlan& plan) {
  std::map<std::string, std::map<std::string, std::string>> groups;  // fused name -> type -> an example
  for (const BlockInfo& block : family.layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      const std::string fused = FusedName(module.name);
      if (!fused.empty()) groups[fused].emplace(QuantModeName(plan.linear(module.name).mode), module.name);
    }
  }
  size_t mixed = 0;
  std::string example;
  for (const auto& [fused, types] : groups) {
    if (types.size() < 2 || ++mixed > 1) continue;
    example = fused + " (";
    for (const auto& [type, name] : types) example += (example.back() == '(' ? "" : ", ") + name + " is " + type;
    example += ")";
  }
  if (mixed == 0) return;
  plan.Warn(example,
            fmt::format("{} layer group{} that vLLM-Ascend and MindIE fuse would hold different types, which they "
                        "refuse to load; give all parts of a group the same type",
                        mixed, mixed == 1 ? "" : "s"));
}

}  // namespace modelslim
