#include "app/names_practice.h"

#include <algorithm>

#include "app/practice_choice.h"
#include "base/error.h"
#include "base/log.h"
#include "base/words.h"
#include "config/practices/practice.h"
#include "model/architectures.h"

namespace modelslim {
namespace {

constexpr std::string_view kHead = "apiversion: modelslim_v1\nspec:\n  process:\n";
constexpr std::string_view kTail = "  save:\n    - {type: ascendv1_saver, part_file_size: 4}\n";
constexpr std::string_view kInt8Token = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}";
constexpr std::string_view kInt8Channel = "weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}";

// Recipes of ours, not verified on hardware. int4 is for experts: no server loads another layer so.
struct Own {
  std::string_view type;
  std::string_view act, weight, include;
};
constexpr std::string_view kEverything = "'*'", kExperts = "'*.experts.*'";
constexpr Own kOwn[] = {
    {"w8a8", kInt8Token, kInt8Channel, kEverything},
    {"w4a8", kInt8Token, "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz}", kExperts},
    {"w4a8", kInt8Token, kInt8Channel, kEverything},
    {"w8a16", "", kInt8Channel, kEverything},
    {"w8a8_mxfp8", "act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}",
     "weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}", kEverything},
    {"w4a8_mxfp", "act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}",
     "weight: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}", kEverything},
    {"w4a4_mxfp4", "act: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}",
     "weight: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}", kEverything},
    {"w8a8_fp8", "act: {scope: per_token, dtype: fp8_e4m3, symmetric: true, method: minmax}",
     "weight: {scope: per_channel, dtype: fp8_e4m3, symmetric: true, method: minmax}", kEverything},
};

std::string OwnRecipe(std::string_view type) {
  std::string steps;
  for (const Own& each : kOwn) {
    if (each.type != type) continue;
    steps += "    - type: linear_quant\n      qconfig:\n";
    if (!each.act.empty()) steps += "        " + std::string(each.act) + "\n";
    steps += "        " + std::string(each.weight) + "\n      include: [" + std::string(each.include) + "]\n";
  }
  return steps.empty() ? "" : std::string(kHead) + steps + std::string(kTail);
}

// Whether a step works on the weights alone.
bool NeedsNoData(const ProcessorConfig& step) {
  if (const auto* group = step.As<GroupConfig>()) return std::ranges::all_of(group->configs, NeedsNoData);
  const auto* quant = step.As<LinearQuantConfig>();
  if (quant == nullptr) return step.type == "load";
  if (quant->qconfig.weight.method == "gptq") return false;
  if (!quant->qconfig.act || quant->qconfig.act->dtype == QDType::kFloat) return true;
  const QScope scope = quant->qconfig.act->scope;
  return scope == QScope::kPerToken || scope == QScope::kPerBlock || scope == QScope::kDualScale;
}

bool Fits(const Practice& practice, const std::string& model_type, const QuantTypeRequest& request) {
  if (!practice.recipe.v1 || !practice.recipe.v1->prior.empty()) return false;
  if (!request.Mismatch(practice.metadata().label).empty()) return false;
  const std::vector<std::string> names = practice.metadata().VerifiedNames();
  const bool verified =
      model_type.empty() || names.empty() || std::find(names.begin(), names.end(), model_type) != names.end();
  return verified && std::ranges::all_of(practice.recipe.v1->process, NeedsNoData);
}

}  // namespace

const std::vector<std::string>& NamesQuantTypes() {
  static const std::vector<std::string> types = {"w8a8_mxfp8", "w4a8_mxfp", "w4a4_mxfp4", "w8a8_fp8"};
  return types;
}

NamesPractice ChooseNamesPractice(const Json& config, const std::string& model_type, const std::string& quant_type) {
  const std::vector<std::string>& known = QuantTypes();
  const ArchitectureRow* const row = FindArchitecture(config);
  if (row != nullptr && std::find(known.begin(), known.end(), quant_type) != known.end()) {
    const PracticeRepository repository(PracticeDirectories());
    const QuantTypeRequest request = QuantTypeRequest::Parse(quant_type);
    for (const std::string_view folder : row->practices) {
      for (const Practice* const practice : repository.Of(folder)) {
        if (!Fits(*practice, model_type, request)) continue;
        LogInfo("recipe " + practice->file.string() + ": the first of " + std::string(folder) + "/ for " + quant_type +
                " whose steps need no data");
        return {practice->file.string(), ReadTextFile(practice->file)};
      }
    }
  }
  NamesPractice own{"a recipe of modelslim's own for " + quant_type + ", by names", OwnRecipe(quant_type)};
  if (!own.text.empty()) return own;
  std::vector<std::string_view> types;
  for (const Own& each : kOwn) {
    if (types.empty() || types.back() != each.type) types.push_back(each.type);
  }
  throw Error(ErrorCode::kUnsupported,
              "--quant_type " + quant_type + ": no recipe for it needs no data, and nothing computes this model",
              "take one of " + Joined(types) + ", or give a recipe with --config_path");
}

}  // namespace modelslim
