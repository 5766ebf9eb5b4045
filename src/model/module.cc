#include "model/module.h"

#include <utility>

namespace modelslim {
namespace {

Tensor Zeros1D(DType dtype, int64_t size) { return Tensor::Zeros(dtype, {size}); }

// Shared by both kinds of module: "<module>.bias", all zeros.
Parameter ZeroBias(const std::string& module, int64_t size, DType dtype) {
  ParamInfo info;
  info.name = module + ".bias";
  info.shape = {size};
  info.dtype = dtype;
  return Parameter(std::move(info), Zeros1D(dtype, size));
}

ConstView NoBias() { return {}; }

}  // namespace

LinearModule::LinearModule(const ModuleInfo& info, const WeightSource& source)
    : info_(&info), weight_(info.params.front(), source) {
  if (info.has_bias()) bias_.emplace(info.params[1], source);
}

Parameter& LinearModule::MakeBias(DType dtype) {
  if (!bias_) bias_.emplace(ZeroBias(name(), info_->out_features(), dtype));
  return *bias_;
}

Tensor LinearModule::FloatForward(const ConstView& x, Keep keep) {
  Tensor y(Promote(x.dtype, weight_.dtype()), {x.rows(), info_->out_features()});
  if (x.rows() == 0) return y;  // and nobody reads the weight
  FloatForwardInto(x, keep, y.view());
  return y;
}

void LinearModule::FloatForwardInto(const ConstView& x, Keep keep, const View& y) {
  MODELSLIM_CHECK(x.cols() == info_->in_features());
  const ConstView matrix{x.data, x.dtype, {x.rows(), x.cols()}};
  const ConstView bias = bias_ ? bias_->Get() : NoBias();
  const bool usable = packed_ && packed_version_ == weight_.version() && packed_for_ == x.dtype;
  if (!usable) packed_.reset();
  if (!usable && keep != Keep::kPacked) return Linear(matrix, weight_.Get(), bias, y);
  if (!usable) {
    packed_.emplace(weight_.Get(), x.dtype);
    packed_version_ = weight_.version();
    packed_for_ = x.dtype;
  }
  packed_->Apply(matrix, bias, y);
}

Tensor LinearModule::FloatForward(const ConstView& x, const PackedWeight& packed, DType out_dtype) {
  MODELSLIM_CHECK(x.cols() == info_->in_features());
  Tensor y(out_dtype, {x.rows(), info_->out_features()});
  const ConstView matrix{x.data, x.dtype, {x.rows(), x.cols()}};
  packed.Apply(matrix, bias_ ? bias_->Get() : NoBias(), y.view());
  return y;
}

void LinearModule::Release(Keep keep) {
  if (keep == Keep::kPacked) return;
  packed_.reset();
  if (forward_) forward_->Release(*this, keep);
  if (keep == Keep::kValues) return;
  weight_.Release();
  if (bias_) bias_->Release();
}

NormModule::NormModule(const ModuleInfo& info, const WeightSource& source, NormKind kind, double eps)
    : info_(&info), weight_(info.params.front(), source), kind_(kind), eps_(eps) {
  if (info.has_bias()) bias_.emplace(info.params[1], source);
}

Parameter& NormModule::MakeBias(DType dtype) {
  if (!bias_) bias_.emplace(ZeroBias(name(), weight_.shape().front(), dtype));
  return *bias_;
}

void NormModule::Replace(bool with_bias) {
  replaced_ = true;
  kind_ = NormKind::kPlain;
  if (with_bias) MakeBias(DType::kF32);
}

Tensor NormModule::Forward(const ConstView& x) {
  const ConstView weight = weight_.Get();
  const auto eps = static_cast<float>(eps_);
  if (replaced_ || bias_) {
    const DType out = bias_ ? Promote(weight.dtype, bias_->dtype()) : DType::kF32;
    Tensor y(out, x.shape);
    RmsNormBias(x, weight, bias_ ? bias_->Get() : NoBias(), eps, y.view());
    return y;
  }
  Tensor y(kind_ == NormKind::kPlain ? Promote(x.dtype, weight.dtype) : x.dtype, x.shape);
  RmsNorm(x, weight, eps, y.view(), kind_);
  return y;
}

}  // namespace modelslim
