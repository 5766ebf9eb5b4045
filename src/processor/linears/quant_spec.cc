#include "processor/linears/quant_spec.h"

#include <string_view>
#include <utility>

#include "base/error.h"
#include "config/recipe/quant_mode.h"

namespace modelslim {
namespace {

constexpr int64_t kDefaultGroup = 128;

ElementFormat FormatOf(QDType dtype) {
  switch (dtype) {
    case QDType::kInt4:
      return ElementFormat::kInt4;
    case QDType::kFp8E4M3:
      return ElementFormat::kFp8E4M3;
    case QDType::kMxfp8:
      return ElementFormat::kMxFp8;
    case QDType::kMxfp4:
      return ElementFormat::kMxFp4;
    default:
      return ElementFormat::kInt8;
  }
}

WeightMethod MethodOf(const QConfig& weight) {
  constexpr std::pair<std::string_view, WeightMethod> kNames[] = {
      {"minmax", WeightMethod::kMinMax},
      {"ssz", WeightMethod::kSsz},
      {"mse_round", WeightMethod::kMseRound},
      {"ceil_x", WeightMethod::kCeilX},
      {"fouroversix", WeightMethod::kFourOverSix},
      {"dualscale", WeightMethod::kDualScale},
      {"outliers_of_matrix", WeightMethod::kOutliersOfMatrix},
      {"outliers_of_row", WeightMethod::kOutliersOfRow},
      {"outliers_by_sigma", WeightMethod::kOutliersBySigma}};
  for (const auto& [name, method] : kNames) {
    if (name == weight.method) return method;
  }
  if (weight.method == "gptq" || weight.method == "descent") {
    throw Error(ErrorCode::kUnsupported,
                weight.path + ".method: " + weight.method +
                    " rounds with what it has seen of the inputs, and so linear_quant alone can use it",
                "use minmax or ssz here");
  }
  throw Error(ErrorCode::kUnsupported, weight.path + ".method: no weight quantizer is called '" + weight.method + "'",
              "use minmax, ssz, mse_round, ceil_x, fouroversix or dualscale, as the data type allows");
}

GptqOptions ToGptqOptions(const QConfig& weight) {
  GptqOptions options;
  options.bits = weight.dtype == QDType::kInt4 ? 4 : 8;
  options.symmetric = weight.symmetric;
  if (weight.scope == QScope::kPerGroup) options.group_size = weight.ext.group_size.value_or(kDefaultGroup);
  options.block_size = weight.ext.block_size;
  options.percdamp = static_cast<float>(weight.ext.percdamp);
  return options;
}

DescentOptions ToDescentOptions(const QConfig& weight) {
  DescentOptions options;
  options.bits = weight.dtype == QDType::kInt4 ? 4 : 8;
  if (weight.scope == QScope::kPerGroup) options.group_size = weight.ext.group_size.value_or(kDefaultGroup);
  return options;
}

}  // namespace

WeightSpec ToWeightSpec(const QConfig& weight) {
  WeightSpec spec;
  spec.format = FormatOf(weight.dtype);
  spec.method = MethodOf(weight);
  spec.scope = weight.scope == QScope::kPerBlock    ? WeightScope::kPerBlock
               : weight.scope == QScope::kDualScale ? WeightScope::kDualScale
                                                    : WeightScope::kPerChannel;
  spec.symmetric = weight.symmetric;
  if (weight.scope == QScope::kPerGroup) spec.group_size = weight.ext.group_size.value_or(kDefaultGroup);
  spec.outlier_fraction = weight.ext.outlier_fraction;
  if (weight.ext.step) spec.ssz_steps = static_cast<int>(*weight.ext.step);
  spec.dual_block_size = weight.ext.dual_block_size.value_or(0);
  spec.ceil_x = static_cast<float>(weight.ext.ceil_x_value);
  if (weight.ext.enable_search) {
    spec.ceil_x_search = CeilXSearch{weight.ext.search_min, weight.ext.search_max, weight.ext.search_step};
  }
  return spec;
}

ActivationSpec ToActivationSpec(const QConfig& act) {
  ActivationSpec spec;
  switch (act.scope) {
    case QScope::kPerToken:
      spec.scope = ActivationScope::kPerToken;
      break;
    case QScope::kPdMix:
      spec.scope = ActivationScope::kPdMix;
      break;
    case QScope::kPerChannel:
      spec.scope = ActivationScope::kPerChannel;
      break;
    case QScope::kPerBlock:
      spec.scope = ActivationScope::kPerBlock;
      break;
    case QScope::kDualScale:
      spec.scope = ActivationScope::kDualScale;
      break;
    default:
      spec.scope = ActivationScope::kPerTensor;
      break;
  }
  spec.format = FormatOf(act.dtype);
  spec.symmetric = act.symmetric;
  spec.method = act.method == "histogram" ? ActivationMethod::kHistogram : ActivationMethod::kMinMax;
  spec.aggregation = act.ext.aggregation_type;
  spec.dual_block_size = act.ext.dual_block_size.value_or(0);
  CheckActivationSpec(spec);
  return spec;
}

LinearQuantSpec ToQuantSpec(const LinearQConfig& qconfig, const std::string& by, std::optional<QuantMode> written_as) {
  LinearQuantSpec spec;
  spec.mode = written_as ? *written_as : ModeOf(qconfig);
  spec.by = by;
  spec.weight_only = !qconfig.act || qconfig.act->dtype == QDType::kFloat;
  if (!spec.weight_only) spec.activation = ToActivationSpec(*qconfig.act);
  if (qconfig.weight.method == "gptq") {
    spec.gptq = ToGptqOptions(qconfig.weight);
  } else if (qconfig.weight.method == "descent") {
    spec.descent = ToDescentOptions(qconfig.weight);
  } else {
    spec.weight = ToWeightSpec(qconfig.weight);
  }
  return spec;
}

}  // namespace modelslim
