#include "kernels/softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/multiversion.h"
#include "kernels/native/exp_row.h"
#include "kernels/vector_math.h"

namespace modelslim {
namespace {

constexpr int kLanes = 16;

MODELSLIM_MULTIVERSION float RowMax(const float* scores, int64_t count, float scale) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, -std::numeric_limits<float>::infinity());
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) {
      const float value = scores[j + l] * scale;
      lanes[l] = value > lanes[l] ? value : lanes[l];
    }
  }
  for (; j < count; ++j) lanes[j % kLanes] = std::max(lanes[j % kLanes], scores[j] * scale);
  return *std::max_element(lanes, lanes + kLanes);
}

// Rounded to R, as P: the same type or f32.
template <class R, class P>
inline P Rounded(float value) {
  if constexpr (std::is_same_v<R, P>) {
    return From<R>(value);
  } else {
    return ToF32(From<R>(value));
  }
}

// Rounds to R, stores as P, and returns the sum of the unrounded values.
#define MODELSLIM_DEFINE_EXP_ROW(R, P, Exp)                                                                     \
  MODELSLIM_MULTIVERSION float ExpRow(const float* __restrict scores, int64_t count, float scale, float max, R, \
                                      P* __restrict p) {                                                        \
    float lanes[kLanes] = {};                                                                                   \
    int64_t j = 0;                                                                                              \
    for (; j + kLanes <= count; j += kLanes) {                                                                  \
      _Pragma("omp simd") for (int l = 0; l < kLanes; ++l) {                                                    \
        const float value = Exp(scores[j + l] * scale - max);                                                   \
        lanes[l] += value;                                                                                      \
        p[j + l] = Rounded<R, P>(value);                                                                        \
      }                                                                                                         \
    }                                                                                                           \
    for (; j < count; ++j) {                                                                                    \
      const float value = Exp(scores[j] * scale - max);                                                         \
      lanes[j % kLanes] += value;                                                                               \
      p[j] = Rounded<R, P>(value);                                                                              \
    }                                                                                                           \
    for (int width = kLanes / 2; width > 0; width /= 2) {                                                       \
      for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];                                             \
    }                                                                                                           \
    return lanes[0];                                                                                            \
  }
MODELSLIM_DEFINE_EXP_ROW(float, float, QuinticExpOfNegative)
MODELSLIM_DEFINE_EXP_ROW(BF16, float, FastExpOfNegative)
MODELSLIM_DEFINE_EXP_ROW(F16, float, FastExpOfNegative)
MODELSLIM_DEFINE_EXP_ROW(BF16, BF16, FastExpOfNegative)
#undef MODELSLIM_DEFINE_EXP_ROW

#define MODELSLIM_DEFINE_STORE(Type)                                                                              \
  MODELSLIM_MULTIVERSION void Store(const float* __restrict x, float factor, int64_t count, Type* __restrict y) { \
    for (int64_t j = 0; j < count; ++j) y[j] = From<Type>(x[j] * factor);                                         \
  }
MODELSLIM_DEFINE_STORE(float)
MODELSLIM_DEFINE_STORE(BF16)
MODELSLIM_DEFINE_STORE(F16)
#undef MODELSLIM_DEFINE_STORE

}  // namespace

float SoftmaxStep(const float* scores, int64_t valid, int64_t padded, float scale, DType v_dtype, DType p_dtype,
                  void* p, RowState* state) {
  const float before = state->max, max = std::max(before, RowMax(scores, valid, scale));
  float sum;
  if (p_dtype == DType::kBF16) {
    BF16* out = static_cast<BF16*>(p);
    const ExpRowBF16 fast = ArchExpRowBF16();
    sum = fast != nullptr ? fast(scores, valid, scale, max, out) : ExpRow(scores, valid, scale, max, BF16{}, out);
    std::fill(out + valid, out + padded, BF16{0});
  } else {
    float* out = static_cast<float*>(p);
    sum = WithModelDType(v_dtype, [&](auto type) { return ExpRow(scores, valid, scale, max, type, out); });
    std::fill(out + valid, out + padded, 0.0f);
  }
  const float correction = before == max ? 1.0f : VectorExp(before - max);
  state->max = max;
  state->sum = state->sum * correction + sum;
  return correction;
}

void StoreScaled(const float* x, float factor, int64_t count, DType y_dtype, void* y) {
  WithModelDType(y_dtype, [&](auto type) { Store(x, factor, count, static_cast<decltype(type)*>(y)); });
}

}  // namespace modelslim
