#include "quant/smoothing/smooth_operands.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "quant/numbers/simd.h"

namespace modelslim::smooth_operands {
namespace {

constexpr float kLimit = 127.0f;
constexpr int64_t kLanes = 16;

// v into q; returns the largest bit pattern of |v|, which shows NaN and infinity too.
template <class T>
MODELSLIM_INLINE int32_t ScaledRow(const T* x, const float* scale, Side side, int64_t count, float* v) {
  int32_t largest = 0;
  if (side == Side::kActivation) {
#pragma omp simd reduction(max : largest)
    for (int64_t c = 0; c < count; ++c) {
      v[c] = FastRound<T>(ToF32(x[c]) / scale[c]);
      const int32_t bits = std::bit_cast<int32_t>(v[c]) & 0x7fffffff;
      largest = bits > largest ? bits : largest;
    }
  } else {
#pragma omp simd reduction(max : largest)
    for (int64_t c = 0; c < count; ++c) {
      v[c] = FastRound<T>(ToF32(x[c]) * scale[c]);
      const int32_t bits = std::bit_cast<int32_t>(v[c]) & 0x7fffffff;
      largest = bits > largest ? bits : largest;
    }
  }
  return largest;
}

MODELSLIM_INLINE float Integer(float quotient) {
  const float low = quotient < -kLimit ? -kLimit : quotient;
  return ((low > kLimit ? kLimit : low) + kRoundingMagic) - kRoundingMagic;
}

template <class T>
MODELSLIM_INLINE void RoundRow(const float* v, float delta, int64_t count, float* q) {
  // A quotient of two bf16 numbers is never near a tie (see affine_kernels.cc): the reciprocal gives the same bits.
  if (DTypeOf<T>() == DType::kBF16 && delta > 0x1p-100f && delta < 0x1p100f) {
    const float inverse = 1.0f / delta;
#pragma omp simd
    for (int64_t c = 0; c < count; ++c) {
      const uint32_t rounded = (std::bit_cast<uint32_t>(v[c] * inverse) + 0x8000u) & 0xffff0000u;
      q[c] = Integer(std::bit_cast<float>(rounded));
    }
    return;
  }
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) q[c] = Integer(FastRound<T>(v[c] / delta));
}

template <class T>
MODELSLIM_INLINE float Quantized(const T* x, const float* scale, Side side, int64_t count, float* v, float* q) {
  const float m = std::bit_cast<float>(ScaledRow(x, scale, side, count, v));
  const float delta = FastRound<T>(m / kLimit);
  if (!(delta > 0.0f) || !(m < HUGE_VALF)) return 0.0f;
  RoundRow<T>(v, delta, count, q);
  return delta;
}

MODELSLIM_MULTIVERSION float QuantizedF32(const float* x, const float* scale, Side side, int64_t count, float* v,
                                          float* q) {
  return Quantized(x, scale, side, count, v, q);
}
MODELSLIM_MULTIVERSION float QuantizedBF16(const BF16* x, const float* scale, Side side, int64_t count, float* v,
                                           float* q) {
  return Quantized(x, scale, side, count, v, q);
}
MODELSLIM_MULTIVERSION float QuantizedF16(const F16* x, const float* scale, Side side, int64_t count, float* v,
                                          float* q) {
  return Quantized(x, scale, side, count, v, q);
}

// Sums in f32, sixteen at a time: a factor off by 1e-6 is nothing beside quantization errors of 1e-2.
template <class T>
MODELSLIM_INLINE float BestFactor(const float* q, float delta, int64_t count) {
  float with_q[kLanes] = {}, squares[kLanes] = {};
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) {
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) {
      with_q[i] += FastRound<T>(q[c + i] * delta) * q[c + i];
      squares[i] += q[c + i] * q[c + i];
    }
  }
  for (; c < count; ++c) {
    with_q[0] += FastRound<T>(q[c] * delta) * q[c];
    squares[0] += q[c] * q[c];
  }
  double top = 0, bottom = 0;
  for (int64_t i = 0; i < kLanes; ++i) {
    top += with_q[i];
    bottom += squares[i];
  }
  return static_cast<float>(top / bottom);
}

// Several rows in one pass over the sums, which are longer than the first-level cache.
template <class T, int64_t kRows>
MODELSLIM_INLINE void Fit(const FittedRows& from, int64_t first, ColumnErrors* errors, float* factors) {
  const int64_t count = from.count, stride = from.stride;
  const float *const v = from.v + first * stride, *const q = from.q + first * stride, *const delta = from.delta + first;
  float* const factor = factors + first;
  for (int64_t r = 0; r < kRows; ++r) factor[r] = BestFactor<T>(q + r * stride, delta[r], count);
  float* const rounded_square = errors->rounded_square.data();
  float* const exact_square = errors->exact_square.data();
  float* const rounded_dot = errors->rounded_dot.data();
  float* const exact_dot = errors->exact_dot.data();
  float* const energy = errors->energy.data();
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) {
    float sums[5] = {rounded_square[c], exact_square[c], rounded_dot[c], exact_dot[c], energy[c]};
#pragma GCC unroll 4
    for (int64_t r = 0; r < kRows; ++r) {
      const float value = v[r * stride + c], integer = q[r * stride + c];
      const float rounded = FastRound<T>(integer * delta[r]) - value, exact = integer * factor[r] - value;
      sums[0] += rounded * rounded;
      sums[1] += exact * exact;
      sums[2] += rounded * value;
      sums[3] += exact * value;
      sums[4] += value * value;
    }
    rounded_square[c] = sums[0];
    exact_square[c] = sums[1];
    rounded_dot[c] = sums[2];
    exact_dot[c] = sums[3];
    energy[c] = sums[4];
  }
}

template <class T>
MODELSLIM_INLINE void FitAll(const FittedRows& from, ColumnErrors* errors, float* factors) {
  if (from.rows == kFitRows) return Fit<T, kFitRows>(from, 0, errors, factors);
  for (int64_t r = 0; r < from.rows; ++r) Fit<T, 1>(from, r, errors, factors);
}

MODELSLIM_MULTIVERSION void FitBF16(const FittedRows& from, ColumnErrors* errors, float* factors) {
  FitAll<BF16>(from, errors, factors);
}
MODELSLIM_MULTIVERSION void FitF16(const FittedRows& from, ColumnErrors* errors, float* factors) {
  FitAll<F16>(from, errors, factors);
}

// Sixteen partial sums whatever the vectors' width, so that the order of additions is always the same.
template <class T, class Term>
MODELSLIM_INLINE double SumOfTerms(int64_t count, const Term& term) {
  double sums[kLanes] = {};
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) sums[i] += term(c + i);
  }
  for (; c < count; ++c) sums[0] += term(c);
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

template <class T>
MODELSLIM_INLINE double ErrorOf(const T* y, const T* g, int64_t count) {
  return SumOfTerms<T>(count, [&](int64_t c) {
    const float e = FastRound<T>(ToF32(y[c]) - ToF32(g[c]));
    return FastRound<T>(e * e);
  });
}
template <class T>
MODELSLIM_INLINE double SumOf(const T* g, int64_t count) {
  return SumOfTerms<T>(count, [&](int64_t c) { return FastRound<T>(ToF32(g[c]) * ToF32(g[c])); });
}

MODELSLIM_MULTIVERSION double ErrorF32(const float* y, const float* g, int64_t count) { return ErrorOf(y, g, count); }
MODELSLIM_MULTIVERSION double ErrorBF16(const BF16* y, const BF16* g, int64_t count) { return ErrorOf(y, g, count); }
MODELSLIM_MULTIVERSION double ErrorF16(const F16* y, const F16* g, int64_t count) { return ErrorOf(y, g, count); }
MODELSLIM_MULTIVERSION double SumF32(const float* g, int64_t count) { return SumOf(g, count); }
MODELSLIM_MULTIVERSION double SumBF16(const BF16* g, int64_t count) { return SumOf(g, count); }
MODELSLIM_MULTIVERSION double SumF16(const F16* g, int64_t count) { return SumOf(g, count); }

template <class T>
MODELSLIM_INLINE void ValuesInto(const float* q, float delta, int64_t count, T* out) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) out[c] = From<T>(q[c] * delta);
}
MODELSLIM_MULTIVERSION void ValuesF32(const float* q, float delta, int64_t count, float* out) {
  ValuesInto(q, delta, count, out);
}
MODELSLIM_MULTIVERSION void ValuesBF16(const float* q, float delta, int64_t count, BF16* out) {
  ValuesInto(q, delta, count, out);
}

}  // namespace

float QuantizeRow(const void* x, DType dtype, const float* scale, Side side, int64_t count, float* v, float* q) {
  switch (dtype) {
    case DType::kBF16:
      return QuantizedBF16(static_cast<const BF16*>(x), scale, side, count, v, q);
    case DType::kF16:
      return QuantizedF16(static_cast<const F16*>(x), scale, side, count, v, q);
    default:
      return QuantizedF32(static_cast<const float*>(x), scale, side, count, v, q);
  }
}

bool FakeQuantRow(const void* x, DType dtype, const float* scale, Side side, int64_t count, void* out) {
  thread_local std::vector<float> q;
  q.resize(count);
  const float delta = QuantizeRow(x, dtype, scale, side, count, q.data(), q.data());
  if (delta == 0.0f) return false;
  switch (dtype) {
    case DType::kBF16:
      ValuesBF16(q.data(), delta, count, static_cast<BF16*>(out));
      break;
    case DType::kF16:
      ValuesInto(q.data(), delta, count, static_cast<F16*>(out));
      break;
    default:
      ValuesF32(q.data(), delta, count, static_cast<float*>(out));
      break;
  }
  return true;
}

void ColumnErrors::Reset(int64_t columns) {
  for (auto* sums : {&rounded_square, &exact_square, &rounded_dot, &exact_dot, &energy}) sums->assign(columns, 0.0f);
}

void ColumnErrors::Add(const ColumnErrors& other) {
  const auto add = [](std::vector<float>* to, const std::vector<float>& from) {
    for (size_t c = 0; c < to->size(); ++c) (*to)[c] += from[c];
  };
  add(&rounded_square, other.rounded_square);
  add(&exact_square, other.exact_square);
  add(&rounded_dot, other.rounded_dot);
  add(&exact_dot, other.exact_dot);
  add(&energy, other.energy);
}

void FitRows(const FittedRows& from, DType dtype, ColumnErrors* errors, float* factor) {
  if (dtype == DType::kBF16) return FitBF16(from, errors, factor);
  if (dtype == DType::kF16) return FitF16(from, errors, factor);
  std::copy(from.delta, from.delta + from.rows, factor);
}

double SquaredError(const void* y, const void* g, DType dtype, int64_t count) {
  switch (dtype) {
    case DType::kBF16:
      return ErrorBF16(static_cast<const BF16*>(y), static_cast<const BF16*>(g), count);
    case DType::kF16:
      return ErrorF16(static_cast<const F16*>(y), static_cast<const F16*>(g), count);
    default:
      return ErrorF32(static_cast<const float*>(y), static_cast<const float*>(g), count);
  }
}

double SquaredSum(const void* g, DType dtype, int64_t count) {
  switch (dtype) {
    case DType::kBF16:
      return SumBF16(static_cast<const BF16*>(g), count);
    case DType::kF16:
      return SumF16(static_cast<const F16*>(g), count);
    default:
      return SumF32(static_cast<const float*>(g), count);
  }
}

}  // namespace modelslim::smooth_operands
