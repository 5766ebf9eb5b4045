#include "plan/v0_anti.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "plan/entries.h"

namespace modelslim {
namespace {

constexpr const char* kPath = "spec.anti_cfg";

// What m4 does to a model. Derived from the golden cases of 26.1.0, which agree to six digits; that biases of the
// attention tell the one from the other (Qwen2 has them, Qwen3 has not) is our reading of them.
struct IterativeRule {
  double alpha;
  bool shifts;       // inputs behind norms, before they are scaled
  bool norms_first;  // so their scales are made from weights that no other group has changed
};
constexpr IterativeRule kWithBiases = {0.9, false, true}, kWithoutBiases = {0.5, true, false};

bool NamesExpert(const Subgraph& group) {
  const auto is_expert = [](const std::string& name) { return name.find("expert") != std::string::npos; };
  return is_expert(group.source) || std::any_of(group.targets.begin(), group.targets.end(), is_expert);
}

bool Touches(const Subgraph& group, const NameList& names) {
  return names.Contains(group.source) || std::any_of(group.targets.begin(), group.targets.end(),
                                                     [&](const std::string& n) { return names.Contains(n); });
}

// The sources of the groups that are smoothed: those without experts, and without anything in disable_anti_names.
Selection SmoothedSources(const V0AntiConfig& anti, const Family& family) {
  const bool heeds_names =
      anti.anti_method == AntiMethod::kM3 || anti.anti_method == AntiMethod::kM4 || anti.anti_method == AntiMethod::kM6;
  Selection selection;
  selection.names.emplace();
  for (const BlockInfo& block : family.layout().blocks) {
    for (const Subgraph& group : family.Subgraphs(block.index)) {
      if (NamesExpert(group) || (heeds_names && Touches(group, anti.disable_anti_names))) continue;
      selection.names->insert(group.source);
    }
  }
  return selection;
}

const IterativeRule& RuleOf(const Family& family) {
  for (const ModuleInfo& module : family.layout().blocks.front().modules) {
    if (module.name.ends_with(".q_proj") && module.has_bias()) return kWithBiases;
  }
  return kWithoutBiases;
}

std::vector<SubgraphType> AllBut(SubgraphType left_out) {
  std::vector<SubgraphType> types = AllSubgraphTypes();
  std::erase(types, left_out);
  return types;
}

QConfig AwqWeights(const V0AntiConfig& anti) {
  QConfig weight;
  weight.dtype = anti.w_bit == 4 ? QDType::kInt4 : QDType::kInt8;
  weight.scope = QScope::kPerChannel;
  weight.symmetric = true;
  weight.method = "minmax";
  weight.path = kPath;
  return weight;
}

ProcessorConfig SmoothingStep(const V0AntiConfig& anti, const Family& family) {
  const Selection select = SmoothedSources(anti, family);
  switch (anti.anti_method) {
    case AntiMethod::kM1:
    case AntiMethod::kM2:
    case AntiMethod::kM5: {
      SmoothQuantConfig own;
      own.select = select;
      return {"smooth_quant", anti.pos, kPath, own};
    }
    case AntiMethod::kM3: {
      AwqConfig own;
      own.weight_qconfig = AwqWeights(anti);
      own.enable_subgraph_type = {SubgraphType::kNormLinear};
      own.select = select;
      return {"awq", anti.pos, kPath, own};
    }
    case AntiMethod::kM4: {
      IterSmoothConfig own;
      const IterativeRule& rule = RuleOf(family);
      own.alpha = rule.alpha;
      own.symmetric = !rule.shifts;
      own.norms_first = rule.norms_first;
      own.magnitudes = true;
      own.enable_subgraph_type = AllBut(SubgraphType::kLinearLinear);
      own.select = select;
      return {"iter_smooth", anti.pos, kPath, own};
    }
    case AntiMethod::kM6:
      break;
  }
  FlexSmoothConfig own;
  if (anti.flex_config) {
    own.alpha = anti.flex_config->alpha;
    own.beta = anti.flex_config->beta;
  }
  own.norms_first = true;
  own.enable_subgraph_type = AllBut(SubgraphType::kLinearLinear);
  own.select = select;
  return {"flex_smooth_quant", anti.pos, kPath, own};
}

void TellWhatIsOurs(const Recipe& recipe, PlanNotes* notes) {
  const V0AntiConfig& anti = *recipe.v0->anti_cfg;
  const auto warn = [&](const char* key, std::string text) {
    const std::string path = std::string(kPath) + key;
    notes->Warn(PlaceOf(recipe, PosOf(recipe, path), path), std::move(text));
  };
  if (anti.anti_method == AntiMethod::kM2 || anti.anti_method == AntiMethod::kM5) {
    warn(".anti_method", "the algorithm of " + std::string(EnumName(anti.anti_method)) +
                             " is not known; what is computed is that of m1 (smooth_quant with alpha 0.5), so the "
                             "numbers are not those of 26.1.0. Name m1, m4 or m6 to choose one that is");
  }
  if (anti.anti_method == AntiMethod::kM3 && !anti.w_sym) {
    warn(".w_sym", "m3 measures its errors with symmetric weights here, whatever w_sym says");
  }
  const bool one_given = anti.flex_config && anti.flex_config->alpha.has_value() != anti.flex_config->beta.has_value();
  if (one_given) warn(".flex_config", "alpha and beta are both searched unless both are given");
}

}  // namespace

std::vector<ProcessorConfig> V0AntiSteps(const Recipe& recipe, const Family& family, PlanNotes* notes) {
  const V0AntiConfig& anti = *recipe.v0->anti_cfg;
  TellWhatIsOurs(recipe, notes);
  std::vector<ProcessorConfig> steps;
  if (anti.anti_method != AntiMethod::kM6) steps.push_back({"norm_bias", anti.pos, kPath, NormBiasConfig{}});
  steps.push_back(SmoothingStep(anti, family));
  return steps;
}

}  // namespace modelslim
