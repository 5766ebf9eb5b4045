#include "processor/linears/calibrating_stage.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/parallel.h"

namespace modelslim {

bool IsBlockScope(const ActivationSpec& spec) {
  return spec.scope == ActivationScope::kPerBlock || spec.scope == ActivationScope::kDualScale;
}

CalibratingStage::CalibratingStage(const LinearQuantSpec& spec, int64_t channels, const fs::path& scratch)
    : spec_(spec), channels_(channels) {
  if (!spec.weight_only) quantizer_.emplace(spec.activation);
  if (spec.UsesMoment()) inputs_.emplace(scratch, channels, [this](InputTape& tape) { Fold(tape); });
}

Tensor CalibratingStage::Apply(const ConstView& x, const RowGroups& groups) {
  Tensor out = quantizer_ ? Tensor(x.dtype, x.shape) : Tensor::Copy(x);
  if (quantizer_) quantizer_->Calibrate(x, groups.offsets, out.view());
  if (inputs_) {
    inputs_->Add(std::as_const(out).view(), groups);
    moment_rows_ += x.rows();
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
  return same_input && inputs_.has_value() == that->inputs_.has_value() &&
         spec_.descent.has_value() == that->spec_.descent.has_value();
}

bool CalibratingStage::Pool(std::span<CalibratingStage* const> others) {
  std::vector<const ActivationQuantizer*> quantizers;
  for (CalibratingStage* const other : others) {
    if (quantizer_ && other->quantizer_) quantizers.push_back(&*other->quantizer_);
    if (!inputs_ || !other->inputs_ || other->moment_rows_ == 0) continue;
    if (other->hessian_) Moment().Merge(*other->hessian_);
    InputTape& tape = other->inputs_->tape();
    if (tape.rows() > 0) AddRows(tape.Rows(0, tape.rows()));
    moment_rows_ += other->moment_rows_;
  }
  if (quantizer_ && !IsDataFree(quantizer_->spec())) return quantizer_->Pool(quantizers);
  return moment_rows_ > 0;
}

ConstView CalibratingStage::SecondMoment() {
  if (!moment_) {
    inputs_->Finish();
    moment_ = std::move(Moment()).TakeValue();
    hessian_.reset();
  }
  return std::as_const(moment_).view();
}

const GptqFactor& CalibratingStage::Factor(float percdamp, DType dtype, const std::string& what) {
  const ConstView moment = SecondMoment();
  if (!factor_ || factor_->percdamp() != percdamp || factor_->dtype() != dtype) {
    factor_.reset();
    factor_.emplace(moment, percdamp, dtype, what);
  }
  return *factor_;
}

void CalibratingStage::Fold(InputTape& tape) { AddRows(tape.Rows(0, tape.rows())); }

void CalibratingStage::AddRows(const ConstView& rows) {
  if (!spec_.descent) return Moment().Add(rows);
  constexpr int64_t kTogether = 1024;
  for (int64_t begin = 0; begin < rows.rows(); begin += kTogether) {
    Tensor unit = ConvertTo(rows.Rows(begin, std::min(rows.rows(), begin + kTogether)), DType::kF32);
    float* const x = unit.as<float>();
    ParallelRanges(unit.view().rows(), 64, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        double square = 0;
        for (int64_t c = 0; c < channels_; ++c)
          square += static_cast<double>(x[row * channels_ + c]) * x[row * channels_ + c];
        const float factor = square > 0 ? static_cast<float>(1.0 / std::sqrt(square)) : 0.0f;
        for (int64_t c = 0; c < channels_; ++c) x[row * channels_ + c] *= factor;
      }
    });
    Moment().Add(std::as_const(unit).view());
  }
}

Hessian& CalibratingStage::Moment() {
  if (!hessian_) hessian_.emplace(channels_);
  return *hessian_;
}

}  // namespace modelslim
