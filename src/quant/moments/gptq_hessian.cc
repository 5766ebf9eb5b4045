#include <algorithm>
#include <string>
#include <utility>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/moments/gptq.h"

namespace modelslim {

Hessian::Hessian(int64_t channels) : channels_(channels), sum_(Tensor::Zeros(DType::kF32, {channels, channels})) {}

uint64_t SecondMomentBytes(int64_t channels) { return static_cast<uint64_t>(channels * channels) * sizeof(float); }

void Hessian::Add(const ConstView& x) {
  if (!IsModelDType(x.dtype) || x.shape.empty() || x.cols() != channels_) {
    throw Error(ErrorCode::kUnexpected, "gptq: activations " + ShapeText(x.shape) + " for a Hessian of " +
                                            std::to_string(channels_) + " channels");
  }
  if (x.rows() == 0) return;
  const ConstView flat{x.data, x.dtype, {x.rows(), channels_}};
  MatMul(flat, flat, sum_.view(), {.transpose_a = true, .beta = 1.0f});
  rows_ += x.rows();
}

void Hessian::Merge(const Hessian& other) {
  MODELSLIM_CHECK(other.channels_ == channels_);
  rows_ += other.rows_;
  float* const to = sum_.as<float>();
  const float* const from = other.sum_.as<float>();
  ParallelRanges(sum_.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

void Hessian::Average(const View& to) const {
  const double factor = rows_ > 0 ? 2.0 / static_cast<double>(rows_) : 0.0;
  const float* const from = sum_.as<float>();
  ParallelRanges(sum_.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to.as<float>()[i] = static_cast<float>(from[i] * factor);
  });
}

Tensor Hessian::Value() const {
  Tensor value(DType::kF32, sum_.shape());
  Average(value.view());
  return value;
}

Tensor Hessian::TakeValue() && {
  Average(sum_.view());
  return std::move(sum_);
}

}  // namespace modelslim
