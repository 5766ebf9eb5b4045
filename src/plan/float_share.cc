#include "plan/float_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/words.h"
#include "plan/entries.h"

namespace modelslim {
namespace {

constexpr const char* kNoLinear = "parameters of no linear layer";

class Counter {
 public:
  Counter(const Family& family, const Decisions& decisions, const std::vector<ProcessorConfig>& process)
      : family_(family), decisions_(decisions), entries_(EntriesOf(process)) {}

  FloatShare Count() {
    for (const BlockInfo& block : family_.layout().blocks) {
      for (const ModuleInfo& module : block.modules) Take(module, Reason(module));
    }
    for (const ModuleInfo& module : family_.layout().rest)
      Take(module, module.kind == ModuleKind::kNorm ? "norms" : "embedding and head");
    for (auto& [reason, part] : parts_) {
      part.reason = reason;
      part.unasked = reason == kNoLinear;
      share_.parts.push_back(std::move(part));
    }
    std::stable_sort(share_.parts.begin(), share_.parts.end(),
                     [](const auto& a, const auto& b) { return a.parameters > b.parameters; });
    return std::move(share_);
  }

 private:
  // Empty: it does not stay float.
  std::string Reason(const ModuleInfo& module) const {
    const auto decision = decisions_.linears.find(module.name);
    const bool linear = decision != decisions_.linears.end();
    if (linear && decision->second.mode != QuantMode::kFloat) return "";
    for (const KeptFloat& kept : family_.facts().kept_float) {
      if (module.name.ends_with(kept.suffix)) return std::string(kept.what);
    }
    if (linear && module.kept_float) return module.kept_float->reason;
    if (linear) return IsExcluded(module.name) ? "excluded by the recipe" : "not in any include";
    return module.kind == ModuleKind::kNorm ? "norms" : kNoLinear;
  }

  bool IsExcluded(const std::string& name) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const RecipeEntry& entry) {
      if (entry.selection == nullptr || entry.target != Target::kLinears) return false;
      const auto& items = entry.selection->exclude.items;
      return std::any_of(items.begin(), items.end(),
                         [&](const Pattern& pattern) { return pattern.compiled->Matches(name); });
    });
  }

  void Take(const ModuleInfo& module, const std::string& reason) {
    for (const ParamInfo& param : module.params) {
      if (!param.alias_of.empty()) continue;
      const auto count = static_cast<uint64_t>(NumElements(param.shape));
      share_.parameters += count;
      if (reason.empty()) continue;
      FloatShare::Part& part = parts_[reason];
      part.parameters += count;
      if (part.tensors++ == 0) part.example = param.name;
    }
  }

  const Family& family_;
  const Decisions& decisions_;
  const std::vector<RecipeEntry> entries_;
  std::map<std::string, FloatShare::Part> parts_;
  FloatShare share_;
};

double Share(uint64_t part, uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

double FloatShare::share() const {
  uint64_t sum = 0;
  for (const Part& part : parts) sum += part.parameters;
  return Share(sum, parameters);
}

double FloatShare::unasked_share() const {
  uint64_t sum = 0;
  for (const Part& part : parts) sum += part.unasked ? part.parameters : 0;
  return Share(sum, parameters);
}

FloatShare FloatShareOf(const Family& family, const Decisions& decisions, const std::vector<ProcessorConfig>& process) {
  return Counter(family, decisions, process).Count();
}

std::string FloatShareText(const FloatShare& share) {
  if (share.parts.empty()) return "nothing";
  std::string parts;
  for (const FloatShare::Part& part : share.parts) {
    parts += fmt::format("{}{:.1f} % {}", parts.empty() ? "" : ", ", 100 * Share(part.parameters, share.parameters),
                         part.reason);
  }
  return fmt::format("{:.1f} % of {:.1f} million parameters: {}", 100 * share.share(),
                     static_cast<double>(share.parameters) * 1e-6, parts);
}

void ReportFloatShare(const FloatShare& share, const Recipe& recipe, ModelPlan& plan) {
  const bool quantizes = std::any_of(plan.decisions.linears.begin(), plan.decisions.linears.end(),
                                     [](const auto& linear) { return linear.second.mode != QuantMode::kFloat; });
  if (!quantizes || share.unasked_share() <= kMuchFloat) return;
  for (const FloatShare::Part& part : share.parts) {
    if (!part.unasked) continue;
    plan.notes.Warn(
        recipe.file,
        fmt::format("{:.0f} % of all parameters stay float in {} of no linear layer, for example {}: no step "
                    "can take them",
                    100 * share.unasked_share(), Counted(part.tensors, "tensor"), part.example));
  }
}

}  // namespace modelslim
