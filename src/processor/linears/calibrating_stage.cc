#include "processor/linears/calibrating_stage.h"

#include <utility>
#include <vector>

namespace modelslim {

bool IsBlockScope(const ActivationSpec& spec) {
  return spec.scope == ActivationScope::kPerBlock || spec.scope == ActivationScope::kDualScale;
}

CalibratingStage::CalibratingStage(const LinearQuantSpec& spec, int64_t channels, const fs::path& scratch)
    : spec_(spec), channels_(channels) {
  if (!spec.weight_only) quantizer_.emplace(spec.activation);
  if (spec.gptq) inputs_.emplace(scratch, channels, [this](InputTape& tape) { Fold(tape); });
}

Tensor CalibratingStage::Apply(const ConstView& x, const RowGroups& groups) {
  Tensor out = quantizer_ ? Tensor(x.dtype, x.shape) : Tensor::Copy(x);
  if (quantizer_) quantizer_->Calibrate(x, groups.offsets, out.view());
  if (inputs_) {
    inputs_->Add(std::as_const(out).view(), groups);
    gptq_rows_ += x.rows();
  }
  used_ = true;
  return out;
}

bool CalibratingStage::SameAs(const ActivationStage& other) const {
  const auto* that = dynamic_cast<const CalibratingStage*>(&other);
  if (that == nullptr || used_ || that->used_) return false;
  const ActivationSpec &a = spec_.activation, &b = that->spec_.activation;
  const bool same_input =
      spec_.weight_only == that->spec_.weight_only &&
      (spec_.weight_only || (a.scope == b.scope && a.format == b.format && a.symmetric == b.symmetric &&
                             a.method == b.method && a.aggregation == b.aggregation));
  return same_input && inputs_.has_value() == that->inputs_.has_value();
}

bool CalibratingStage::Pool(std::span<CalibratingStage* const> others) {
  std::vector<const ActivationQuantizer*> quantizers;
  for (CalibratingStage* const other : others) {
    if (quantizer_ && other->quantizer_) quantizers.push_back(&*other->quantizer_);
    if (!inputs_ || !other->inputs_ || other->gptq_rows_ == 0) continue;
    if (other->hessian_) Moment().Merge(*other->hessian_);
    InputTape& tape = other->inputs_->tape();
    if (tape.rows() > 0) Moment().Add(tape.Rows(0, tape.rows()));
    gptq_rows_ += other->gptq_rows_;
  }
  if (quantizer_ && !IsDataFree(quantizer_->spec())) return quantizer_->Pool(quantizers);
  return gptq_rows_ > 0;
}

const GptqFactor& CalibratingStage::Factor(float percdamp, DType dtype, const std::string& what) {
  if (!moment_) {
    inputs_->Finish();
    moment_ = std::move(Moment()).TakeValue();
    hessian_.reset();
  }
  if (!factor_ || factor_->percdamp() != percdamp || factor_->dtype() != dtype) {
    factor_.reset();
    factor_.emplace(std::as_const(moment_).view(), percdamp, dtype, what);
  }
  return *factor_;
}

void CalibratingStage::Fold(InputTape& tape) { Moment().Add(tape.Rows(0, tape.rows())); }

Hessian& CalibratingStage::Moment() {
  if (!hessian_) hessian_.emplace(channels_);
  return *hessian_;
}

}  // namespace modelslim
