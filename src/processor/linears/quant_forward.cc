#include "processor/linears/quant_forward.h"

#include <utility>

#include "base/error.h"
#include "processor/linears/calibrating_stage.h"
#include "processor/observing/output_error.h"

namespace modelslim {
namespace {

bool IsStatic(const LinearQuantSpec& spec) {
  return !spec.weight_only &&
         (spec.activation.scope == ActivationScope::kPerTensor || spec.activation.scope == ActivationScope::kPdMix);
}

// Of what a Linear puts out for an input of type x. While calibrating it is the input's; where the weight waits for the
// moment of its inputs, the float layer runs.
DType CalibratedType(const LinearQuantSpec& spec, DType x, DType weight) {
  return spec.UsesMoment() ? Promote(x, weight) : x;
}
// Deployed layers dequantize to f32, those of MX formats to the type that they are used in.
DType DeployedType(bool weight_only, const ActivationSpec& activation, DType x) {
  return !weight_only && IsBlockScope(activation) ? x : DType::kF32;
}

class CalibratingForward : public LinearForward {
 public:
  CalibratingForward(LinearModule& module, LinearQuantSpec spec, const fs::path& scratch) : spec_(std::move(spec)) {
    // MX inputs pass unchanged while calibrating, and so do those of weight-only layers, unless somebody wants to see
    // them.
    const bool passes = spec_.weight_only || IsBlockScope(spec_.activation);
    if (!passes || spec_.UsesMoment())
      stage_ = std::make_shared<CalibratingStage>(spec_, module.info().in_features(), scratch);
  }

  std::shared_ptr<ActivationStage>& activation() override { return stage_; }

  Tensor Apply(LinearModule& module, const ConstView& x) override {
    if (spec_.UsesMoment()) return module.FloatForward(x);  // the rounded weight exists only after the last sample
    if (!codes_) {
      spec_.weight.ssz_float_type = x.dtype;
      spec_.weight.keep_fp8_values = true;
      codes_ = QuantizeWeight(module.weight().Get(), spec_.weight);
      CheckScales(*codes_, module.weight());
    }
    if (!packed_) {
      const Tensor fake = Dequantize(*codes_, module.weight().dtype());
      packed_.emplace(fake.view(), x.dtype);
    }
    return module.FloatForward(x, *packed_, CalibratedType(spec_, x.dtype, module.weight().dtype()));
  }

  void Release(LinearModule&, Keep keep) override {
    packed_.reset();
    if (keep == Keep::kNothing) codes_.reset();
  }

  const LinearQuantSpec& spec() const { return spec_; }
  const CalibratingStage* stage() const { return static_cast<const CalibratingStage*>(stage_.get()); }
  CalibratingStage* stage() { return static_cast<CalibratingStage*>(stage_.get()); }
  void SampleInputs(LinearModule& module, int64_t rows) {
    sample_ = std::make_unique<RowSample>(rows);
    module.observers().push_back(sample_.get());
  }
  std::unique_ptr<RowSample> TakeSample(LinearModule& module) {
    std::erase(module.observers(), sample_.get());
    return std::move(sample_);
  }
  std::optional<QuantizedWeight> TakeCodes() { return std::exchange(codes_, std::nullopt); }

 private:
  LinearQuantSpec spec_;
  std::shared_ptr<ActivationStage> stage_;
  std::unique_ptr<RowSample> sample_;
  std::optional<QuantizedWeight> codes_;
  std::optional<PackedWeight> packed_;
};

CalibratingForward* Calibrating(LinearModule& module) {
  return dynamic_cast<CalibratingForward*>(module.forward().get());
}

// What a later processor's forward sees: deployed inputs, and weights dequantized to f32.
class DeployedStage : public ActivationStage {
 public:
  explicit DeployedStage(DeployedActivation activation) : activation_(std::move(activation)) {}

  Tensor Apply(const ConstView& x, const RowGroups& groups) override {
    Tensor out(DeployedType(false, activation_.spec, x.dtype), x.shape);
    FakeQuantizeDeployed(activation_, x, groups.offsets, out.view());
    return out;
  }

  bool SameAs(const ActivationStage& other) const override {
    const auto* that = dynamic_cast<const DeployedStage*>(&other);
    if (that == nullptr) return false;
    const DeployedActivation &a = activation_, &b = that->activation_;
    return a.spec.scope == b.spec.scope && a.spec.dual_block_size == b.spec.dual_block_size &&
           a.december_2025 == b.december_2025 && a.spec.format == b.spec.format &&
           a.spec.symmetric == b.spec.symmetric && a.bits == b.bits && a.true_per_token == b.true_per_token &&
           a.fixed.dtype == b.fixed.dtype && a.fixed.scale == b.fixed.scale && a.fixed.offset == b.fixed.offset;
  }

 private:
  DeployedActivation activation_;
};

class DeployedForward : public LinearForward {
 public:
  explicit DeployedForward(const LinearResult& result) : weight_only_(result.weight_only), spec_(result.activation) {
    if (result.weight_only) return;
    DeployedActivation activation;
    activation.spec = result.activation;
    activation.december_2025 = result.spec.december_2025;
    if (result.input) activation.fixed = AffineTable::Single(*result.input);
    stage_ = std::make_shared<DeployedStage>(std::move(activation));
  }

  std::shared_ptr<ActivationStage>& activation() override { return stage_; }

  Tensor Apply(LinearModule& module, const ConstView& x) override {
    if (!packed_) {
      const Tensor values = Dequantize(QuantizedResult(module)->Weight(module), module.weight().dtype());
      packed_.emplace(values.view(), x.dtype);
    }
    return module.FloatForward(x, *packed_, DeployedType(weight_only_, spec_, x.dtype));
  }

  void Release(LinearModule& module, Keep keep) override {
    packed_.reset();
    if (keep == Keep::kNothing) QuantizedResult(module)->Release();
  }

 private:
  bool weight_only_;
  ActivationSpec spec_;
  std::shared_ptr<ActivationStage> stage_;
  std::optional<PackedWeight> packed_;
};

class SketchForward : public LinearForward {
 public:
  SketchForward(LinearQuantSpec spec, bool deployed) : spec_(std::move(spec)), deployed_(deployed) {}

  std::shared_ptr<ActivationStage>& activation() override { return stage_; }
  Tensor Apply(LinearModule& module, const ConstView& x) override {
    const DType type = deployed_ ? DeployedType(spec_.weight_only, spec_.activation, x.dtype)
                                 : CalibratedType(spec_, x.dtype, module.weight().dtype());
    return Tensor::Zeros(type, {x.rows(), module.info().out_features()});
  }
  void Release(LinearModule&, Keep) override {}

 private:
  LinearQuantSpec spec_;
  bool deployed_;
  std::shared_ptr<ActivationStage> stage_;  // none
};

// Codes that a method with the moment of the inputs has made.
QuantizedWeight Integers(Tensor codes, Tensor scale, int bits, int64_t group_size, DType source) {
  QuantizedWeight weight;
  weight.format = bits == 8 ? ElementFormat::kInt8 : ElementFormat::kInt4;
  weight.source_dtype = source;
  weight.codes = std::move(codes);
  weight.scale = std::move(scale);
  weight.group_size = group_size;
  return weight;
}

// The codes of a layer that uses the moment of its inputs.
QuantizedWeight RoundWithMoment(LinearModule& module, const LinearQuantSpec& spec, CalibratingStage& stage) {
  const DType dtype = module.weight().dtype();
  const std::string& name = module.weight().name();
  if (spec.descent) {
    DescentResult made = Descend(module.weight().Get(), stage.SecondMoment(), *spec.descent, name);
    return Integers(std::move(made.q), std::move(made.scale), spec.descent->bits, spec.descent->group_size, dtype);
  }
  const GptqFactor& factor = stage.Factor(spec.gptq->percdamp, dtype, name);
  GptqResult made = Gptq(module.weight().Get(), factor, *spec.gptq, name);
  QuantizedWeight weight =
      Integers(std::move(made.q), std::move(made.scale), spec.gptq->bits, spec.gptq->group_size, dtype);
  if (!spec.gptq->symmetric) weight.offset = std::move(made.offset);
  return weight;
}

}  // namespace

void StartCalibration(LinearModule& module, const LinearQuantSpec& spec, const fs::path& scratch,
                      int64_t sampled_rows) {
  auto forward = std::make_unique<CalibratingForward>(module, spec, scratch);
  if (sampled_rows > 0) forward->SampleInputs(module, sampled_rows);
  module.Release(Keep::kValues);  // the float weight that an earlier step's forward has prepared
  module.forward() = std::move(forward);
}

void SketchCalibration(LinearModule& module, const LinearQuantSpec& spec) {
  module.forward() = std::make_unique<SketchForward>(spec, /*deployed=*/false);
}
void SketchDeployment(LinearModule& module, const LinearQuantSpec& spec) {
  module.forward() = std::make_unique<SketchForward>(spec, /*deployed=*/true);
}

bool IsCalibrating(LinearModule& module) { return Calibrating(module) != nullptr; }

bool IsUnseen(LinearModule& module) {
  const CalibratingForward* forward = Calibrating(module);
  if (forward == nullptr) return false;
  if (IsStatic(forward->spec())) return forward->stage()->quantizer()->samples() == 0;
  return forward->spec().UsesMoment() && forward->stage()->moment_rows() == 0;
}

bool PoolCalibration(std::span<LinearModule* const> unseen, std::span<LinearModule* const> others,
                     const fs::path& scratch) {
  std::vector<CalibratingStage*> stages;
  for (LinearModule* const other : others) {
    CalibratingForward* const forward = Calibrating(*other);
    if (forward != nullptr && forward->stage() != nullptr && !IsUnseen(*other)) stages.push_back(forward->stage());
  }
  CalibratingForward& first = *Calibrating(*unseen.front());
  const auto pooled = std::make_shared<CalibratingStage>(first.spec(), unseen.front()->info().in_features(), scratch);
  if (!pooled->Pool(stages)) return false;
  for (LinearModule* const module : unseen) Calibrating(*module)->activation() = pooled;
  return true;
}

void Deploy(LinearModule& module) {
  CalibratingForward* forward = Calibrating(module);
  MODELSLIM_CHECK(forward != nullptr);
  const LinearQuantSpec& spec = forward->spec();
  auto result = std::make_unique<LinearResult>();
  result->mode = spec.mode;
  result->by = spec.by;
  result->weight_only = spec.weight_only;
  result->activation = spec.activation;
  result->spec = spec.weight;
  result->sample = forward->TakeSample(module);
  if (IsStatic(spec)) {
    const std::optional<AffineTable> params = forward->stage()->quantizer()->params();
    MODELSLIM_CHECK(params.has_value());
    result->input =
        AffineParams{params->scale.front(), params->offset.empty() ? 0.0f : params->offset.front(), params->dtype};
    if (spec.input_scale_type) result->input->scale = RoundTo(*spec.input_scale_type, result->input->scale);
  }
  if (spec.UsesMoment()) {
    QuantizedWeight weight = RoundWithMoment(module, spec, *forward->stage());
    CheckScales(weight, module.weight());
    result->SetWeight(std::move(weight), /*can_be_made_again=*/false);
  } else if (std::optional<QuantizedWeight> codes = forward->TakeCodes()) {
    result->SetWeight(std::move(*codes), /*can_be_made_again=*/true);
  }
  module.Release();
  module.forward() = std::make_unique<DeployedForward>(*result);
  module.result() = std::move(result);
}

}  // namespace modelslim
