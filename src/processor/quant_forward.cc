#include "processor/quant_forward.h"

#include <utility>

#include "base/error.h"
#include "processor/output_error.h"

namespace modelslim {
namespace {

// Statistics and fake quantization of the input; with GPTQ also the second moment of what the layer sees.
class CalibratingStage : public ActivationStage {
 public:
  CalibratingStage(const LinearQuantSpec& spec, int64_t channels) : spec_(spec) {
    if (!spec.weight_only) quantizer_.emplace(spec.activation);
    if (spec.gptq) hessian_.emplace(channels);
  }

  Tensor Apply(const ConstView& x, const RowGroups& groups) override {
    Tensor out = quantizer_ ? Tensor(x.dtype, x.shape) : Tensor::Copy(x);
    if (quantizer_) quantizer_->Calibrate(x, groups.offsets, out.view());
    if (hessian_) hessian_->Add(std::as_const(out).view());
    used_ = true;
    return out;
  }

  bool SameAs(const ActivationStage& other) const override {
    const auto* that = dynamic_cast<const CalibratingStage*>(&other);
    if (that == nullptr || used_ || that->used_) return false;
    const ActivationSpec &a = spec_.activation, &b = that->spec_.activation;
    const bool same_input =
        spec_.weight_only == that->spec_.weight_only &&
        (spec_.weight_only || (a.scope == b.scope && a.format == b.format && a.symmetric == b.symmetric &&
                               a.method == b.method && a.aggregation == b.aggregation));
    return same_input && hessian_.has_value() == that->hessian_.has_value();
  }

  // Takes over what others have seen, none of it having been seen here.
  bool Pool(std::span<const CalibratingStage* const> others) {
    bool found = false;
    std::vector<const ActivationQuantizer*> quantizers;
    for (const CalibratingStage* const other : others) {
      if (quantizer_ && other->quantizer_) quantizers.push_back(&*other->quantizer_);
      if (!hessian_ || !other->hessian_ || other->hessian_->rows() == 0) continue;
      hessian_->Merge(*other->hessian_);
      found = true;
    }
    if (quantizer_ && !IsDataFree(quantizer_->spec())) found = quantizer_->Pool(quantizers);
    return found;
  }

  const ActivationQuantizer* quantizer() const { return quantizer_ ? &*quantizer_ : nullptr; }
  const Hessian* hessian() const { return hessian_ ? &*hessian_ : nullptr; }

 private:
  LinearQuantSpec spec_;
  std::optional<ActivationQuantizer> quantizer_;
  std::optional<Hessian> hessian_;
  bool used_ = false;
};

bool IsBlockScope(const ActivationSpec& spec) {
  return spec.scope == ActivationScope::kPerBlock || spec.scope == ActivationScope::kDualScale;
}

bool IsStatic(const LinearQuantSpec& spec) {
  return !spec.weight_only &&
         (spec.activation.scope == ActivationScope::kPerTensor || spec.activation.scope == ActivationScope::kPdMix);
}

class CalibratingForward : public LinearForward {
 public:
  CalibratingForward(LinearModule& module, LinearQuantSpec spec) : spec_(std::move(spec)) {
    // MX inputs pass unchanged while calibrating, and so do those of weight-only layers, unless GPTQ wants to see them.
    const bool passes = spec_.weight_only || IsBlockScope(spec_.activation);
    if (!passes || spec_.gptq) stage_ = std::make_shared<CalibratingStage>(spec_, module.info().in_features());
  }

  std::shared_ptr<ActivationStage>& activation() override { return stage_; }

  Tensor Apply(LinearModule& module, const ConstView& x) override {
    if (spec_.gptq) return module.FloatForward(x);  // the rounded weight exists only after the last sample
    if (!codes_) {
      spec_.weight.ssz_float_type = x.dtype;
      spec_.weight.keep_fp8_values = true;
      codes_ = QuantizeWeight(module.weight().Get(), spec_.weight);
      CheckScales(*codes_, module.weight().name());
    }
    if (!packed_) {
      const Tensor fake = Dequantize(*codes_, module.weight().dtype());
      packed_.emplace(fake.view(), x.dtype);
    }
    return module.FloatForward(x, *packed_, x.dtype);
  }

  void Release(LinearModule&, Keep keep) override {
    packed_.reset();
    if (keep == Keep::kNothing) codes_.reset();
  }

  const LinearQuantSpec& spec() const { return spec_; }
  const CalibratingStage* stage() const { return static_cast<const CalibratingStage*>(stage_.get()); }
  CalibratingStage* stage() { return static_cast<CalibratingStage*>(stage_.get()); }
  // A stage that no other module uses.
  CalibratingStage& OwnStage(LinearModule& module) {
    stage_ = std::make_shared<CalibratingStage>(spec_, module.info().in_features());
    return *stage();
  }
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
    Tensor out(IsBlockScope(activation_.spec) ? x.dtype : DType::kF32, x.shape);
    FakeQuantizeDeployed(activation_, x, groups.offsets, out.view());
    return out;
  }

  bool SameAs(const ActivationStage& other) const override {
    const auto* that = dynamic_cast<const DeployedStage*>(&other);
    if (that == nullptr) return false;
    const DeployedActivation &a = activation_, &b = that->activation_;
    return a.spec.scope == b.spec.scope && a.spec.format == b.spec.format && a.spec.symmetric == b.spec.symmetric &&
           a.bits == b.bits && a.true_per_token == b.true_per_token && a.fixed.dtype == b.fixed.dtype &&
           a.fixed.scale == b.fixed.scale && a.fixed.offset == b.fixed.offset;
  }

 private:
  DeployedActivation activation_;
};

class DeployedForward : public LinearForward {
 public:
  explicit DeployedForward(const LinearResult& result) {
    if (result.weight_only) return;
    DeployedActivation activation;
    activation.spec = result.activation;
    if (result.input) activation.fixed = AffineTable::Single(*result.input);
    stage_ = std::make_shared<DeployedStage>(std::move(activation));
    keeps_dtype_ = IsBlockScope(result.activation);
  }

  std::shared_ptr<ActivationStage>& activation() override { return stage_; }

  Tensor Apply(LinearModule& module, const ConstView& x) override {
    if (!packed_) {
      const Tensor values = Dequantize(QuantizedResult(module)->Weight(module), module.weight().dtype());
      packed_.emplace(values.view(), x.dtype);
    }
    return module.FloatForward(x, *packed_, keeps_dtype_ ? x.dtype : DType::kF32);
  }

  void Release(LinearModule& module, Keep keep) override {
    packed_.reset();
    if (keep == Keep::kNothing) QuantizedResult(module)->Release();
  }

 private:
  std::shared_ptr<ActivationStage> stage_;
  std::optional<PackedWeight> packed_;
  bool keeps_dtype_ = false;
};

QuantizedWeight FromGptq(GptqResult result, const GptqOptions& options, DType source) {
  QuantizedWeight weight;
  weight.format = options.bits == 8 ? ElementFormat::kInt8 : ElementFormat::kInt4;
  weight.source_dtype = source;
  weight.codes = std::move(result.q);
  weight.scale = std::move(result.scale);
  if (!options.symmetric) weight.offset = std::move(result.offset);
  weight.group_size = options.group_size;
  return weight;
}

}  // namespace

void StartCalibration(LinearModule& module, const LinearQuantSpec& spec, int64_t sampled_rows) {
  auto forward = std::make_unique<CalibratingForward>(module, spec);
  if (sampled_rows > 0) forward->SampleInputs(module, sampled_rows);
  module.forward() = std::move(forward);
}

bool IsCalibrating(LinearModule& module) { return Calibrating(module) != nullptr; }

bool IsUnseen(LinearModule& module) {
  const CalibratingForward* forward = Calibrating(module);
  if (forward == nullptr) return false;
  if (IsStatic(forward->spec())) return forward->stage()->quantizer()->samples() == 0;
  return forward->spec().gptq && forward->stage()->hessian()->rows() == 0;
}

bool PoolCalibration(LinearModule& unseen, std::span<LinearModule* const> others) {
  std::vector<const CalibratingStage*> stages;
  for (LinearModule* const other : others) {
    CalibratingForward* const forward = Calibrating(*other);
    if (forward != nullptr && forward->stage() != nullptr && !IsUnseen(*other)) stages.push_back(forward->stage());
  }
  return Calibrating(unseen)->OwnStage(unseen).Pool(stages);
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
  }
  if (spec.gptq) {
    const Tensor hessian = forward->stage()->hessian()->Value();
    QuantizedWeight weight = FromGptq(Gptq(module.weight().Get(), hessian.view(), *spec.gptq, module.weight().name()),
                                      *spec.gptq, module.weight().dtype());
    CheckScales(weight, module.weight().name());
    result->SetWeight(std::move(weight), /*can_be_made_again=*/false);
  } else if (std::optional<QuantizedWeight> codes = forward->TakeCodes()) {
    result->SetWeight(std::move(*codes), /*can_be_made_again=*/true);
  }
  module.Release();
  module.forward() = std::make_unique<DeployedForward>(*result);
  module.result() = std::move(result);
}

}  // namespace modelslim
