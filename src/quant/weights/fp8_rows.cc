#include "quant/weights/fp8_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/row_magnitude.h"
#include "quant/numbers/simd.h"
#include "quant/weights/row_kernels.h"
#include "quant/weights/row_kernels_wide.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

// Rounded to e4m3, half to even; |value| < 464. A negative zero cannot arrive here: adding the offset 0 has removed it.
MODELSLIM_INLINE uint32_t Encode(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const uint32_t normal = ((magnitude + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20) - 960u;
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 16384.0f) - 0x46800000u;
  return (magnitude < 0x3c800000u ? subnormal : normal) | ((bits >> 24) & 0x80u);
}

MODELSLIM_INLINE float Bounded(float value) {
  const float low = value < -448.0f ? -448.0f : value;
  return low > 448.0f ? 448.0f : low;
}

// Codes go through 32-bit lanes of their own: asked for bytes at once, the compiler narrows the arithmetic above to
// bytes and falls back to the smallest vectors.
MODELSLIM_INLINE void Narrow(const uint32_t* wide, int64_t n, uint8_t* codes) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

MODELSLIM_MULTIVERSION void EncodeF32(const float* x, int64_t n, float scale, uint8_t* codes) {
  alignas(64) uint32_t wide[kAffineRun];
  for (int64_t begin = 0; begin < n; begin += kAffineRun) {
    const int64_t run = n - begin < kAffineRun ? n - begin : kAffineRun;
#pragma omp simd
    for (int64_t i = 0; i < run; ++i) wide[i] = Encode(Bounded(x[begin + i] / scale + 0.0f));
    Narrow(wide, run, codes + begin);
  }
}

MODELSLIM_MULTIVERSION void EncodeBF16(const uint16_t* x, int64_t n, float reciprocal, uint8_t* codes) {
  alignas(64) uint32_t wide[kAffineRun];
  for (int64_t begin = 0; begin < n; begin += kAffineRun) {
    const int64_t run = n - begin < kAffineRun ? n - begin : kAffineRun;
#pragma omp simd
    for (int64_t i = 0; i < run; ++i) {
      const float quotient = std::bit_cast<float>(static_cast<uint32_t>(x[begin + i]) << 16) * reciprocal;
      const uint32_t bits = std::bit_cast<uint32_t>(quotient);
      // At most 450, which rounds to 448 like the clamp would.
      wide[i] = Encode(std::bit_cast<float>((bits + 0x8000u) & 0xffff0000u) + 0.0f);
    }
    Narrow(wide, run, codes + begin);
  }
}

template <class P>
MODELSLIM_INLINE void ValuesLoop(const float* x, int64_t n, float scale, float* values) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) values[i] = Bounded(FastRound<P>(FastRound<P>(x[i] / scale) + 0.0f));
}
MODELSLIM_MULTIVERSION void ValuesF32(const float* x, int64_t n, float s, float* v) { ValuesLoop<float>(x, n, s, v); }
MODELSLIM_MULTIVERSION void ValuesBF16(const float* x, int64_t n, float s, float* v) { ValuesLoop<BF16>(x, n, s, v); }
MODELSLIM_MULTIVERSION void ValuesF16(const float* x, int64_t n, float s, float* v) { ValuesLoop<F16>(x, n, s, v); }

template <class E>
MODELSLIM_INLINE void BackLoop(const float* values, int64_t n, float scale, float* x) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] = FastRound<E>(FastRound<E>(values[i]) * scale);
}
MODELSLIM_MULTIVERSION void BackF32(const float* v, int64_t n, float s, float* x) { BackLoop<float>(v, n, s, x); }
MODELSLIM_MULTIVERSION void BackBF16(const float* v, int64_t n, float s, float* x) { BackLoop<BF16>(v, n, s, x); }
MODELSLIM_MULTIVERSION void BackF16(const float* v, int64_t n, float s, float* x) { BackLoop<F16>(v, n, s, x); }

// n <= kAffineRun elements from element `at` on.
void EncodeRun(const ConstView& rows, int64_t at, int64_t n, float scale, uint8_t* codes) {
  const WideRowKernels* wide = Wide();
  if (rows.dtype == DType::kF32 && std::isfinite(scale)) {
    return (wide != nullptr ? wide->fp8_f32 : EncodeF32)(static_cast<const float*>(rows.data) + at, n, scale, codes);
  }
  if (rows.dtype == DType::kBF16 && scale < 0x1p-7f) {
    // Below 2^-7 no quotient of bf16 numbers is subnormal, so the product with the reciprocal rounds like the division.
    return (wide != nullptr ? wide->fp8_bf16 : EncodeBF16)(static_cast<const uint16_t*>(rows.data) + at, n,
                                                           1.0f / scale, codes);
  }
  float values[kAffineRun];
  LoadRun(static_cast<const std::byte*>(rows.data) + at * static_cast<int64_t>(DTypeSize(rows.dtype)), rows.dtype, n,
          values);
  Fp8ValuesRun(values, n, scale, rows.dtype, rows.dtype, values);
  for (int64_t i = 0; i < n; ++i) codes[i] = F32ToE4M3(values[i]);
}

}  // namespace

float Fp8Scale(float largest, DType dtype) {
  const float floor = RoundTo(dtype, 1e-12f);
  return RoundTo(dtype, (std::isnan(largest) || largest > floor ? largest : floor) / 448.0f);
}

void Fp8ValuesRun(const float* x, int64_t n, float scale, DType scale_dtype, DType data_dtype, float* values) {
  const DType promoted = Promote(scale_dtype, data_dtype);
  if (promoted == DType::kBF16) return ValuesBF16(x, n, scale, values);
  if (promoted == DType::kF16) return ValuesF16(x, n, scale, values);
  ValuesF32(x, n, scale, values);
}

void Fp8BackRun(const float* values, int64_t n, float scale, DType scale_dtype, float* x) {
  if (scale_dtype == DType::kBF16) return BackBF16(values, n, scale, x);
  if (scale_dtype == DType::kF16) return BackF16(values, n, scale, x);
  BackF32(values, n, scale, x);
}

void FakeQuantizeFp8(const ConstView& x, const AffineTable& params, const View& out) {
  const int64_t rows = x.rows(), cols = x.cols();
  const size_t expected = params.axis == ParamAxis::kRow ? rows : params.axis == ParamAxis::kColumn ? cols : 1;
  MODELSLIM_CHECK(params.axis != ParamAxis::kGroup && params.scale.size() == expected && x.size() == out.size());
  const int64_t in_size = static_cast<int64_t>(DTypeSize(x.dtype)),
                out_size = static_cast<int64_t>(DTypeSize(out.dtype));
  const bool per_column = params.axis == ParamAxis::kColumn;
  ParallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    float values[kAffineRun];
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t column = 0; column < cols; column += kAffineRun) {
        const int64_t n = std::min(kAffineRun, cols - column), at = row * cols + column;
        LoadRun(static_cast<const std::byte*>(x.data) + at * in_size, x.dtype, n, values);
        for (int64_t i = 0; i < n; i += per_column ? 1 : n) {  // columns with scales of their own go one by one
          const int64_t run = per_column ? 1 : n;
          const float scale = params.scale[per_column ? column + i : params.axis == ParamAxis::kRow ? row : 0];
          Fp8ValuesRun(values + i, run, scale, params.dtype, x.dtype, values + i);
          Fp8BackRun(values + i, run, scale, params.dtype, values + i);
        }
        StoreRun(values, out.dtype, n, static_cast<std::byte*>(out.data) + at * out_size);
      }
    }
  });
}

void QuantizeRowsFp8(const ConstView& rows, uint8_t* codes, float* scale) {
  MODELSLIM_CHECK(IsModelDType(rows.dtype));
  const int64_t n = rows.rows(), cols = rows.cols();
  for (int64_t row = 0; row < n; ++row) {
    const float largest = LargestMagnitude(rows, row), s = Fp8Scale(largest, rows.dtype);
    scale[row] = s;
    for (int64_t begin = 0; begin < cols; begin += kAffineRun) {
      const int64_t run = std::min(kAffineRun, cols - begin);
      PrefetchRow(rows, row + 1, begin, run);
      EncodeRun(rows, row * cols + begin, run, s, codes + row * cols + begin);
    }
  }
}

}  // namespace modelslim
