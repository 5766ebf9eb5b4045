#include "plan/patterns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "config/recipe/diagnostic.h"
#include "plan/entries.h"

namespace modelslim {
namespace {

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

// One name for each kind of layer that some architectures have, and that recipes for all of them speak of.
std::vector<std::string> LayersOfOtherModels() {
  std::vector<std::string> names = {"model.layers.0.mlp.experts.0.down_proj"};
  for (const auto& [type, kept] : AllKeptFloat()) names.push_back("model.layers.0" + std::string(kept.suffix));
  return names;
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
      : recipe_(recipe), names_(NamesOf(family)), elsewhere_(LayersOfOtherModels()), plan_(plan) {}

  void Report(const RecipeEntry& entry) {
    if (entry.selection == nullptr || entry.selection->names) return;
    const size_t chosen = ReportEntry(entry);
    ReportList(entry, "include", entry.selection->include, chosen > 0);
    ReportList(entry, "exclude", entry.selection->exclude, true);
  }

 private:
  // `may_be_general`: a pattern for layers that only other models have is no mistake.
  void ReportList(const RecipeEntry& entry, std::string_view key, const PatternList& list, bool may_be_general) {
    const std::vector<std::string>& candidates = Candidates(names_, entry.target);
    const ProcessorConfig& config = *entry.config;
    std::string general;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const Pattern& pattern = list.items[i];
      if (pattern.text.empty() || FirstMatch(pattern, candidates) != nullptr) continue;
      if (may_be_general && entry.target == Target::kLinears && FirstMatch(pattern, elsewhere_) != nullptr) {
        general += fmt::format("{}'{}'", general.empty() ? "" : ", ", pattern.text);
        continue;
      }
      std::string text = fmt::format("'{}' matches no {} of this model", pattern.text, TargetText(entry.target));
      if (const std::string* name = FirstMatch(pattern, names_.unvisited)) {
        text += fmt::format("; it matches {}, which lies outside of the decoder layers and is never changed", *name);
      } else if (const std::string* other = FirstMatch(pattern, names_.all)) {
        text += fmt::format("; it matches {}, which {} does not act on", *other, config.type);
      } else if (pattern.text.find_first_of("*?[{") == std::string::npos) {
        const std::string nearest = NearestWord(pattern.text, candidates);
        if (!nearest.empty()) text += fmt::format("; did you mean '{}'?", nearest);
      }
      plan_.notes.Warn(PlaceOf(recipe_, pattern.pos, fmt::format("{}.{}[{}]", config.path, key, i)), text);
    }
    if (general.empty()) return;
    plan_.notes.Inform(PlaceOf(recipe_, list.pos, fmt::format("{}.{}", config.path, key)),
                       general + ": for layers that other models have; this one has none to act on");
  }

  // Returns how many it selects.
  size_t ReportEntry(const RecipeEntry& entry) {
    const ProcessorConfig& config = *entry.config;
    size_t chosen = 0, shadowed = 0;
    for (const std::string& name : Candidates(names_, entry.target)) {
      if (!entry.selection->Selects(name)) continue;
      ++chosen;
      const auto decision = plan_.decisions.linears.find(name);
      if (decision == plan_.decisions.linears.end()) continue;
      const std::vector<std::string>& later = decision->second.shadowed;
      if (std::find(later.begin(), later.end(), config.path) != later.end()) ++shadowed;
    }
    const std::string where = PlaceOf(recipe_, config.pos, config.path);
    if (chosen == 0) {
      plan_.notes.Warn(where, fmt::format("{} selects nothing", config.type));
    } else if (shadowed > 0) {
      plan_.notes.Inform(where, fmt::format("{} of the {} layers it selects were taken by an earlier entry, which wins",
                                            shadowed, chosen));
    }
    return chosen;
  }

  const Recipe& recipe_;
  Names names_;
  std::vector<std::string> elsewhere_;
  ModelPlan& plan_;
};

}  // namespace

void ReportPatterns(const Recipe& recipe, const std::vector<ProcessorConfig>& process, const Family& family,
                    ModelPlan& plan) {
  Reporter reporter(recipe, family, plan);
  for (const RecipeEntry& entry : EntriesOf(process)) reporter.Report(entry);
}

}  // namespace modelslim
