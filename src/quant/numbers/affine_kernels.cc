#include "quant/numbers/affine_kernels.h"

#include <bit>
#include <cstring>

#include "base/error.h"
#include "quant/numbers/simd.h"
#include "tensor/float16.h"

namespace modelslim {
namespace {

MODELSLIM_MULTIVERSION void LoadBF16(const uint16_t* source, int64_t n, float* values) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) values[i] = std::bit_cast<float>(static_cast<uint32_t>(source[i]) << 16);
}

MODELSLIM_MULTIVERSION void StoreBF16(const float* values, int64_t n, uint16_t* target) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    target[i] = static_cast<uint16_t>(values[i] == values[i] ? rounded : (bits >> 16) | 0x40u);
  }
}

MODELSLIM_MULTIVERSION void RoundBF16(float* values, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) values[i] = FastRound<BF16>(values[i]);
}
MODELSLIM_MULTIVERSION void RoundF16(float* values, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) values[i] = FastRound<F16>(values[i]);
}

// x / scale rounded to P. When both have 8 significant bits the quotient is never a tie of bf16 and at least 2^-17 away
// from one (M odd with 9 bits cannot divide X * 2^k), so multiplying by the rounded reciprocal, which errs by 2^-22,
// rounds to the same. Quotients too small for that argument (below 2^-126) end as integer 0 either way.
template <class P, bool kReciprocal>
MODELSLIM_INLINE float Quotient(float x, float scale) {
  return FastRound<P>(kReciprocal ? x * scale : x / scale);
}

template <class P, bool kReciprocal>
MODELSLIM_INLINE float ToInteger(float x, float scale, float offset, float lowest, float highest) {
  return ClampAndRound(FastRound<P>(Quotient<P, kReciprocal>(x, scale) + offset), lowest, highest);
}

template <class E>
MODELSLIM_INLINE float FromInteger(float q, float scale, float offset) {
  return FastRound<E>(FastRound<E>(q - offset) * scale);
}

template <class P, class E>
MODELSLIM_INLINE void QuantizeLoop(const float* x, int64_t n, const RunParams& p, int8_t* q) {
  constexpr bool kReciprocal = std::is_same_v<P, BF16>;
  const float lowest = p.lowest, highest = p.highest;
  if (p.step == 0) {
    const float scale = kReciprocal ? 1.0f / *p.scale : *p.scale, offset = p.offset == nullptr ? 0.0f : *p.offset;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float integer = ToInteger<P, kReciprocal>(x[i], scale, offset, lowest, highest);
      q[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(integer) & 0xffu);
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float integer = ToInteger<P, false>(x[i], p.scale[i], p.offset[i], lowest, highest);
    q[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(integer) & 0xffu);
  }
}

template <class P, class E>
MODELSLIM_INLINE void FakeLoop(float* x, int64_t n, const RunParams& p) {
  constexpr bool kReciprocal = std::is_same_v<P, BF16>;
  const float lowest = p.lowest, highest = p.highest;
  if (p.step == 0) {
    const float scale = *p.scale, offset = p.offset == nullptr ? 0.0f : *p.offset;
    const float divide = kReciprocal ? 1.0f / scale : scale;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float q = ToInteger<P, kReciprocal>(x[i], divide, offset, lowest, highest) - kRoundingMagic;
      x[i] = FromInteger<E>(q, scale, offset);
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float q = ToInteger<P, false>(x[i], p.scale[i], p.offset[i], lowest, highest) - kRoundingMagic;
    x[i] = FromInteger<E>(q, p.scale[i], p.offset[i]);
  }
}

template <class E>
MODELSLIM_INLINE void DequantizeLoop(const int8_t* q, int64_t n, const RunParams& p, float* x) {
  if (p.step == 0) {
    const float scale = *p.scale, offset = p.offset == nullptr ? 0.0f : *p.offset;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) x[i] = FromInteger<E>(q[i], scale, offset);
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] = FromInteger<E>(q[i], p.scale[i], p.offset[i]);
}

// One function per pair of rounding types: P of the quotient, E of the parameters.
#define MODELSLIM_AFFINE(name, P, E)                                                                     \
  MODELSLIM_MULTIVERSION void Quantize##name(const float* x, int64_t n, const RunParams& p, int8_t* q) { \
    QuantizeLoop<P, E>(x, n, p, q);                                                                      \
  }                                                                                                      \
  MODELSLIM_MULTIVERSION void Fake##name(float* x, int64_t n, const RunParams& p) { FakeLoop<P, E>(x, n, p); }
MODELSLIM_AFFINE(F32, float, float)
MODELSLIM_AFFINE(BF16Both, BF16, BF16)
MODELSLIM_AFFINE(F16Both, F16, F16)
MODELSLIM_AFFINE(BF16Params, float, BF16)
MODELSLIM_AFFINE(F16Params, float, F16)
#undef MODELSLIM_AFFINE

MODELSLIM_MULTIVERSION void DequantizeF32(const int8_t* q, int64_t n, const RunParams& p, float* x) {
  DequantizeLoop<float>(q, n, p, x);
}
MODELSLIM_MULTIVERSION void DequantizeBF16(const int8_t* q, int64_t n, const RunParams& p, float* x) {
  DequantizeLoop<BF16>(q, n, p, x);
}
MODELSLIM_MULTIVERSION void DequantizeF16(const int8_t* q, int64_t n, const RunParams& p, float* x) {
  DequantizeLoop<F16>(q, n, p, x);
}

}  // namespace

void LoadRun(const void* source, DType dtype, int64_t n, float* values) {
  if (dtype == DType::kBF16) return LoadBF16(static_cast<const uint16_t*>(source), n, values);
  if (dtype == DType::kF16) {
    const F16* half = static_cast<const F16*>(source);
    for (int64_t i = 0; i < n; ++i) values[i] = ToF32(half[i]);
    return;
  }
  MODELSLIM_CHECK(dtype == DType::kF32);
  std::memcpy(values, source, static_cast<size_t>(n) * sizeof(float));
}

void StoreRun(const float* values, DType dtype, int64_t n, void* target) {
  if (dtype == DType::kBF16) return StoreBF16(values, n, static_cast<uint16_t*>(target));
  if (dtype == DType::kF16) {
    F16* half = static_cast<F16*>(target);
    for (int64_t i = 0; i < n; ++i) half[i] = ToF16(values[i]);
    return;
  }
  MODELSLIM_CHECK(dtype == DType::kF32);
  std::memcpy(target, values, static_cast<size_t>(n) * sizeof(float));
}

void RoundRun(float* values, int64_t n, DType dtype) {
  if (dtype == DType::kBF16) RoundBF16(values, n);
  if (dtype == DType::kF16) RoundF16(values, n);
}

void QuantizeRun(const float* values, int64_t n, const RunParams& p, int8_t* q) {
  const bool same = p.data_dtype == p.dtype;
  if (p.dtype == DType::kBF16) return same ? QuantizeBF16Both(values, n, p, q) : QuantizeBF16Params(values, n, p, q);
  if (p.dtype == DType::kF16) return same ? QuantizeF16Both(values, n, p, q) : QuantizeF16Params(values, n, p, q);
  QuantizeF32(values, n, p, q);
}

void FakeQuantizeRun(float* values, int64_t n, const RunParams& p) {
  const bool same = p.data_dtype == p.dtype;
  if (p.dtype == DType::kBF16) return same ? FakeBF16Both(values, n, p) : FakeBF16Params(values, n, p);
  if (p.dtype == DType::kF16) return same ? FakeF16Both(values, n, p) : FakeF16Params(values, n, p);
  FakeF32(values, n, p);
}

void DequantizeRun(const int8_t* q, int64_t n, const RunParams& p, float* values) {
  if (p.dtype == DType::kBF16) return DequantizeBF16(q, n, p, values);
  if (p.dtype == DType::kF16) return DequantizeF16(q, n, p, values);
  DequantizeF32(q, n, p, values);
}

}  // namespace modelslim
