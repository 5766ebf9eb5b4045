#include "ops/norm.h"

#include <cmath>
#include <vector>

#include "kernels/multiversion.h"
#include "kernels/vector_math.h"
#include "ops/f32_rows.h"

namespace modelslim {
namespace {

constexpr int kLanes = 16;

float SumLanes(float* lanes) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

MODELSLIM_MULTIVERSION float SumOfSquares(const float* x, int64_t count, float shift) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) lanes[l] += (x[i + l] - shift) * (x[i + l] - shift);
  }
  for (; i < count; ++i) lanes[i % kLanes] += (x[i] - shift) * (x[i] - shift);
  return SumLanes(lanes);
}

MODELSLIM_MULTIVERSION float Sum(const float* x, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) lanes[l] += x[i + l];
  }
  for (; i < count; ++i) lanes[i % kLanes] += x[i];
  return SumLanes(lanes);
}

MODELSLIM_MULTIVERSION void Normalize(const float* x, float shift, float factor, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - shift) * factor;
}
MODELSLIM_MULTIVERSION void MultiplyBy(const float* __restrict w, int64_t count, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = y[i] * w[i];
}
MODELSLIM_MULTIVERSION void AddTo(const float* __restrict b, int64_t count, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = y[i] + b[i];
}
MODELSLIM_MULTIVERSION void MultiplyBySilu(const float* __restrict z, int64_t count, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = y[i] * (z[i] / (1.0f + VectorExp(-z[i])));
}

float InverseRoot(const float* x, int64_t count, float eps) {
  return 1.0f / std::sqrt(SumOfSquares(x, count, 0.0f) / static_cast<float>(count) + eps);
}

// The parameters of a norm as f32, and the loop over the rows of D columns: body(x as f32, y to fill, first element).
class RowNorm {
 public:
  RowNorm(const ConstView& x, const ConstView& weight, const ConstView& bias, const View& y)
      : x_(x), y_(y), columns_(weight.data != nullptr ? weight.size() : x.cols()) {
    MODELSLIM_CHECK(IsModelDType(x.dtype) && IsModelDType(y.dtype) && x.size() == y.size());
    MODELSLIM_CHECK(columns_ > 0 && x.cols() % columns_ == 0);
    MODELSLIM_CHECK(bias.data == nullptr || bias.size() == columns_);
    weight_ = Widened(weight);
    bias_ = Widened(bias);
  }

  int64_t columns() const { return columns_; }
  std::vector<float>& weight() { return weight_; }
  const std::vector<float>& bias() const { return bias_; }

  template <class Body>
  void Run(const Body& body) const {
    ForRows(x_.size() / columns_, columns_, [&](int64_t r0, int64_t r1) {
      std::vector<float> in(static_cast<size_t>(columns_)), out(static_cast<size_t>(columns_));
      for (int64_t r = r0; r < r1; ++r) {
        body(LoadF32(x_, r * columns_, columns_, in.data()), out.data(), r * columns_);
        StoreF32(out.data(), columns_, y_, r * columns_);
      }
    });
  }

 private:
  static std::vector<float> Widened(const ConstView& values) {
    std::vector<float> widened(values.data != nullptr ? static_cast<size_t>(values.size()) : 0);
    for (size_t i = 0; i < widened.size(); ++i) widened[i] = ElementAsF32(values, static_cast<int64_t>(i));
    return widened;
  }

  ConstView x_;
  View y_;
  int64_t columns_;
  std::vector<float> weight_, bias_;
};

}  // namespace

void RmsNorm(const ConstView& x, const ConstView& weight, float eps, const View& y, NormKind kind) {
  MODELSLIM_CHECK(weight.data != nullptr);
  RowNorm norm(x, weight, {}, y);
  if (kind == NormKind::kZeroCentred) {
    for (float& w : norm.weight()) w = 1.0f + w;
  }
  const int64_t n = norm.columns();
  const DType result = kind == NormKind::kPlain ? Promote(x.dtype, weight.dtype) : DType::kF32;
  norm.Run([&](const float* in, float* out, int64_t) {
    Normalize(in, 0.0f, InverseRoot(in, n, eps), n, out);
    if (kind == NormKind::kPlain) RoundF32(x.dtype, out, n);
    MultiplyBy(norm.weight().data(), n, out);
    if (result != y.dtype) RoundF32(result, out, n);
  });
}

void RmsNormBias(const ConstView& x, const ConstView& weight, const ConstView& bias, float eps, const View& y) {
  MODELSLIM_CHECK(weight.data != nullptr);
  RowNorm norm(x, weight, bias, y);
  const int64_t n = norm.columns();
  norm.Run([&](const float* in, float* out, int64_t) {
    Normalize(in, 0.0f, InverseRoot(in, n, eps), n, out);
    RoundF32(weight.dtype, out, n);
    MultiplyBy(norm.weight().data(), n, out);
    RoundF32(weight.dtype, out, n);
    if (bias.data == nullptr) return;
    AddTo(norm.bias().data(), n, out);
    RoundF32(Promote(weight.dtype, bias.dtype), out, n);
  });
}

void RmsNormGated(const ConstView& x, const ConstView& gate, const ConstView& weight, float eps, const View& y) {
  MODELSLIM_CHECK(weight.data != nullptr && gate.size() == x.size());
  RowNorm norm(x, weight, {}, y);
  const int64_t n = norm.columns();
  norm.Run([&](const float* in, float* out, int64_t first) {
    Normalize(in, 0.0f, InverseRoot(in, n, eps), n, out);
    RoundF32(x.dtype, out, n);
    MultiplyBy(norm.weight().data(), n, out);
    RoundF32(Promote(x.dtype, weight.dtype), out, n);
    std::vector<float> buffer(static_cast<size_t>(n));
    MultiplyBySilu(LoadF32(gate, first, n, buffer.data()), n, out);
  });
}

void LayerNorm(const ConstView& x, const ConstView& weight, const ConstView& bias, float eps, const View& y) {
  RowNorm norm(x, weight, bias, y);
  const int64_t n = norm.columns();
  norm.Run([&](const float* in, float* out, int64_t) {
    const float count = static_cast<float>(n), mean = Sum(in, n) / count;
    Normalize(in, mean, 1.0f / std::sqrt(SumOfSquares(in, n, mean) / count + eps), n, out);
    if (weight.data != nullptr) MultiplyBy(norm.weight().data(), n, out);
    if (bias.data != nullptr) AddTo(norm.bias().data(), n, out);
  });
}

}  // namespace modelslim
