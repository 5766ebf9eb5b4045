// What servers compute of an output, read back.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/ascend_v1/checks.h"
#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "format/pack.h"
#include "io/safetensors.h"

namespace modelslim::ascend_v1 {
namespace {

using Input = InputRule::Kind;

// The tensors of one linear, pinned while this lives.
class Parts {
 public:
  Parts(const Checkpoint& weights, std::string linear) : weights_(weights), linear_(std::move(linear)) {}

  SharedTensor Get(std::string_view suffix) const {
    const CheckpointTensor* const part = weights_.Find(linear_ + "." + std::string(suffix));
    return part == nullptr ? SharedTensor() : weights_.Get(*part);
  }
  Tensor Floats(std::string_view suffix) const {
    const SharedTensor part = Get(suffix);
    return part ? ConvertTo(part.view(), DType::kF32) : Tensor();
  }
  SavedTensors Saved() {
    SavedTensors saved;
    saved.weight = View("weight");
    saved.weight_scale = View("weight_scale");
    saved.weight_offset = View("weight_offset");
    saved.weight_dual_scale = View("weight_dual_scale");
    saved.deq_scale = View("deq_scale");
    saved.input_scale = View("input_scale");
    if (const ConstView second = View("weight_scale_second"); second.data != nullptr) {
      saved.weight_scale = Levels(saved.weight_scale, second);
      saved.weight_offset = {};  // all zeros
    }
    return saved;
  }

 private:
  // Parameters of modelslim_v0 have the model's type; all others are read as they are.
  ConstView View(std::string_view suffix) {
    SharedTensor part = Get(suffix);
    if (!part) return {};
    if (part.dtype() == DType::kBF16 || part.dtype() == DType::kF16) part = ConvertTo(part.view(), DType::kF32);
    return kept_.emplace_back(std::move(part)).view();
  }

  // The scale of every group: what the row has in common times what is left.
  ConstView Levels(const ConstView& first, const ConstView& second) {
    const int64_t groups = second.size() / first.size();
    Tensor product(DType::kF32, {first.size(), groups});
    for (int64_t i = 0; i < product.size(); ++i) {
      product.as<float>()[i] = first.as<float>()[i / groups] * second.as<float>()[i];
    }
    return kept_.emplace_back(std::move(product)).view();
  }

  const Checkpoint& weights_;
  const std::string linear_;
  std::vector<SharedTensor> kept_;
};

bool AllZero(const ConstView& values) {
  const float* const data = values.as<float>();
  return std::all_of(data, data + values.size(), [](float value) { return value == 0; });
}

AffineTable Table(const SharedTensor& scale, const SharedTensor& offset, ParamAxis axis) {
  AffineTable table;
  table.axis = axis;
  for (int64_t i = 0; i < scale.view().size(); ++i) {
    table.scale.push_back(ElementAsF32(scale.view(), i));
    table.offset.push_back(offset && offset.dtype() != DType::kI8 ? ElementAsF32(offset.view(), i) : 0.0f);
  }
  return table;
}

DeployedActivation ActivationOf(const InputRule& rule, const SavedLinear& linear, ServerPhase phase) {
  DeployedActivation activation;
  activation.true_per_token = true;
  activation.spec.format = rule.format;
  activation.bits = rule.format == ElementFormat::kInt4 ? 4 : 8;
  const bool fixed =
      rule.kind == Input::kStatic || (rule.kind == Input::kPrefillPerToken && phase == ServerPhase::kDecode);
  activation.spec.scope = fixed                         ? ActivationScope::kPerTensor
                          : rule.kind == Input::kMx     ? ActivationScope::kPerBlock
                          : rule.kind == Input::kDualMx ? ActivationScope::kDualScale
                                                        : ActivationScope::kPerToken;
  activation.spec.symmetric = !fixed;
  if (rule.kind == Input::kDualMx) activation.spec.dual_block_size = linear.group_size;
  return activation;
}

}  // namespace

Tensor AscendOutput::Dequantize(const SavedLinear& linear) const {
  Parts parts(weights(), linear.name);
  return ReadWeight(parts.Saved(), linear.mode);
}

DeployedLinear AscendOutput::Deploy(const SavedLinear& linear, ServerPhase phase) const {
  const ModeRow& row = RowOf(linear.mode);
  Parts parts(weights(), linear.name);
  DeployedLinear made;
  made.weight_only = row.input.kind == Input::kFloat;
  made.activation = ActivationOf(row.input, linear, phase);
  if (made.activation.spec.scope == ActivationScope::kPerTensor) {
    made.codes = parts.Get("weight");
    const SharedTensor deq = parts.Get("deq_scale");
    made.scale = DeqScaleFromModel(deq.view());
    made.quant_bias = parts.Get("quant_bias");
    made.activation.fixed = Table(parts.Get("input_scale"), parts.Get("input_offset"), ParamAxis::kTensor);
    return made;
  }
  made.bias = parts.Floats("bias");
  const bool integers = row.input.format == ElementFormat::kInt8 || row.input.format == ElementFormat::kInt4;
  const SharedTensor offset = parts.Get("weight_offset");
  if (!made.weight_only && integers && linear.group_size == 0 && (!offset || AllZero(offset.view()))) {
    const SharedTensor weight = parts.Get("weight");
    made.codes = row.packing == Packing::kRowPairs ? SharedTensor(UnpackInt4Rows(weight.view())) : weight;
    made.scale = parts.Floats("weight_scale");
    made.scale.Reshape({linear.out});
    return made;
  }
  made.weight = ReadWeight(parts.Saved(), linear.mode);
  return made;
}

std::optional<Tensor> AscendOutput::ReadGlobalRotation() const {
  const Json* value = description_.Find("optional");
  for (const char* const key : {"quarot", "rotation_map", "global_rotation"}) {
    if (value != nullptr) value = value->Find(key);
  }
  if (value == nullptr || value->string() == nullptr || *value->string() != kRotationFile) return std::nullopt;
  const SafetensorsFile file(PathOf(std::string(kRotationFile)));
  if (file.Find(kRotationTensor) == nullptr) return std::nullopt;
  const SharedTensor matrix = file.Get(kRotationTensor);
  return ConvertTo(matrix.view(), DType::kF32);
}

std::vector<Fact> AscendOutput::FactsOf(const std::string& module) const {
  std::vector<Fact> facts;
  if (module == kWholeModel) {
    if (std::optional<Tensor> matrix = ReadGlobalRotation()) facts.emplace_back(GlobalRotation{std::move(*matrix)});
    return facts;
  }
  const Parts own(weights(), module);
  const std::string key = module + ".k_proj", value = module + ".v_proj";
  const Parts keys(weights(), key), values(weights(), value);
  if (keys.Get(kCacheScale) && values.Get(kCacheScale)) {
    facts.emplace_back(KvScales{key, value, Table(keys.Get(kCacheScale), keys.Get(kCacheOffset), ParamAxis::kColumn),
                                Table(values.Get(kCacheScale), values.Get(kCacheOffset), ParamAxis::kColumn)});
  }
  if (own.Get("fa_q.scale") && own.Get("fa_k.scale") && own.Get("fa_v.scale")) {
    facts.emplace_back(FaScales{Table(own.Get("fa_q.scale"), {}, ParamAxis::kColumn),
                                Table(own.Get("fa_k.scale"), {}, ParamAxis::kColumn),
                                Table(own.Get("fa_v.scale"), {}, ParamAxis::kColumn)});
  }
  const std::pair<RotationRole, std::string_view> rotations[] = {{RotationRole::kHeads, kHeadsRotation},
                                                                 {RotationRole::kKroneckerLeft, kKroneckerLeft},
                                                                 {RotationRole::kKroneckerRight, kKroneckerRight}};
  for (const auto& [role, suffix] : rotations) {
    if (Tensor matrix = own.Floats(suffix)) facts.emplace_back(OnlineRotation{role, "", std::move(matrix)});
  }
  for (const std::string_view site : kSites) {
    Tensor matrix = own.Floats(site);
    if (matrix)
      facts.emplace_back(OnlineRotation{RotationRole::kSite, module + "." + std::string(site), std::move(matrix)});
  }
  return facts;
}

}  // namespace modelslim::ascend_v1
