#include "plan/v0_quant.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/words.h"
#include "plan/entries.h"

namespace modelslim {
namespace {

constexpr const char* kPath = "spec.calib_cfg";

[[noreturn]] void Refuse(const Recipe& recipe, const char* key, const std::string& what, const std::string& tip) {
  const std::string path = std::string(kPath) + "." + key;
  throw Error(ErrorCode::kUnsupported, PlaceOf(recipe, PosOf(recipe, path), path) + ": " + what, tip);
}

QConfig Half(QDType dtype, QScope scope, bool symmetric, std::string method) {
  QConfig half;
  half.dtype = dtype;
  half.scope = scope;
  half.symmetric = symmetric;
  half.method = std::move(method);
  half.path = kPath;
  return half;
}

// The parameters of a static input follow from the means, over the samples, of each sample's least and largest value.
QConfig StaticInput(bool histogram) {
  QConfig act = Half(QDType::kInt8, QScope::kPerTensor, false, histogram ? "histogram" : "minmax");
  if (!histogram) act.ext.aggregation_type = Aggregation::kMean;
  return act;
}

QConfig SparseWeight(const V0CalibConfig& c) {
  const char* method = c.effective.co_sparse ? "outliers_of_matrix"
                       : c.use_sigma         ? "outliers_by_sigma"
                                             : "outliers_of_row";
  QConfig weight = Half(QDType::kInt8, QScope::kPerChannel, true, method);
  weight.ext.outlier_fraction = c.fraction;
  return weight;
}

// Weights that are rounded by themselves: the inputs stay float, or are rounded when the model runs.
QConfig OwnWeight(const V0CalibConfig& c, int64_t bits) {
  const bool gptq = c.w_method == V0WeightMethod::kGptq, grouped = c.effective.per_group;
  QConfig weight = Half(bits == 4 ? QDType::kInt4 : QDType::kInt8, grouped ? QScope::kPerGroup : QScope::kPerChannel,
                        c.w_sym, gptq ? "gptq" : "minmax");
  if (grouped) weight.ext.group_size = c.effective.group_size;
  weight.ext.percdamp = c.percdamp;
  return weight;
}

LinearQuantConfig ConfigOf(const V0CalibConfig& c, V0QuantType type, bool histogram) {
  const QConfig int8 = Half(QDType::kInt8, QScope::kPerChannel, true, "minmax");
  const QConfig dynamic = Half(QDType::kInt8, QScope::kPerToken, true, "minmax");
  LinearQuantConfig made;
  switch (type) {
    case V0QuantType::kW8A8:
      made.qconfig = {StaticInput(histogram), int8, c.pos};
      made.written_as = QuantMode::kW8A8;
      break;
    case V0QuantType::kW8A8Mix:  // what is static in decode is what is calibrated
      made.qconfig = {StaticInput(histogram), int8, c.pos};
      made.written_as = QuantMode::kW8A8Mix;
      break;
    case V0QuantType::kW8A8S:
      made.qconfig = {StaticInput(histogram), SparseWeight(c), c.pos};
      made.written_as = QuantMode::kW8A8S;
      break;
    case V0QuantType::kW8A8Dynamic:
      made.qconfig = {dynamic, OwnWeight(c, 8), c.pos};
      made.written_as = QuantMode::kW8A8Dynamic;
      break;
    case V0QuantType::kW4A8Dynamic:
      made.qconfig = {dynamic, OwnWeight(c, 4), c.pos};
      made.written_as = QuantMode::kW4A8Dynamic;
      break;
    case V0QuantType::kW8A16:
      made.qconfig = {std::nullopt, OwnWeight(c, 8), c.pos};
      made.written_as = QuantMode::kW8A16;
      break;
    case V0QuantType::kW4A16:
      made.qconfig = {std::nullopt, OwnWeight(c, 4), c.pos};
      made.written_as = QuantMode::kW4A16;
      break;
    default:
      MODELSLIM_CHECK(false);
  }
  return made;
}

bool HasStaticInput(V0QuantType type) {
  return type == V0QuantType::kW8A8 || type == V0QuantType::kW8A8Mix || type == V0QuantType::kW8A8S;
}

}  // namespace

void CheckV0Quantization(const Recipe& recipe) {
  const V0CalibConfig& c = recipe.v0->calib_cfg;
  const V0QuantType type = c.effective.type;
  if (type == V0QuantType::kUnknown || type == V0QuantType::kNf4 || type == V0QuantType::kW4A4FlatquantDynamic) {
    Refuse(recipe, "w_bit", std::string(V0QuantTypeName(type)) + " is not computed here",
           "choose w_bit and a_bit of W8A8, W8A8_DYNAMIC, W8A8S, W8A16, W4A16 or W4A8_DYNAMIC");
  }
  if (c.effective.mm_tensor && type != V0QuantType::kFloat) {
    Refuse(recipe, "mm_tensor", "one weight scale for a whole tensor is not computed here, and it is the default",
           "set mm_tensor: false, as all shipped practices do");
  }
  if (c.w_method == V0WeightMethod::kHqq) {
    Refuse(recipe, "w_method", "HQQ is not computed here", "use MinMax or GPTQ");
  }
  if (c.effective.pr < 1.0) {
    Refuse(recipe, "pr", "calibration with a random share of quantized values is not computed here",
           "leave pr out: everything is quantized then");
  }
  if (c.is_lowbit && c.effective.do_smooth) {
    Refuse(recipe, "do_smooth", "smoothing inside of the low-bit algorithm is not computed here",
           "leave do_smooth out, and smooth with anti_cfg");
  }
  if (c.nonuniform && type == V0QuantType::kW8A8S) {
    Refuse(recipe, "nonuniform", "the power-function quantizer is not computed here", "leave nonuniform out");
  }
  if (c.use_fa_quant) {
    Refuse(recipe, "use_fa_quant",
           "attentions are quantized in models of DeepSeek only, for which modelslim_v0 has no adapter",
           "leave use_fa_quant and fa_amp out, or use fa3_quant in a modelslim_v1 recipe");
  }
}

std::vector<ProcessorConfig> V0QuantSteps(const Recipe& recipe, const std::vector<V0Layer>& layers) {
  const V0CalibConfig& c = recipe.v0->calib_cfg;
  std::map<std::pair<V0QuantType, bool>, Selection> kinds;
  for (const V0Layer& layer : layers) {
    if (layer.type == V0QuantType::kFloat) continue;
    Selection& selection = kinds[{layer.type, layer.histogram && HasStaticInput(layer.type)}];
    if (!selection.names) selection.names.emplace();
    selection.names->insert(layer.name);
  }
  std::vector<ProcessorConfig> steps;
  for (auto& [kind, selection] : kinds) {
    const auto& [type, histogram] = kind;
    LinearQuantConfig own = ConfigOf(c, type, histogram);
    own.select = std::move(selection);
    std::string path = kPath;  // names the step, so no two may be alike
    if (kinds.size() > 1) {
      path += ".configs of " + std::string(V0QuantTypeName(type)) + (histogram ? " by histogram" : "");
    }
    steps.push_back({"linear_quant", c.pos, path, std::move(own)});
  }
  if (steps.size() < 2) return steps;
  // All types are calibrated together, in one pass.
  return {{"group", c.pos, kPath, GroupConfig{std::move(steps)}}};
}

}  // namespace modelslim
