// int8 and int4 rows. A row is read twice, the second time from the cache: for its largest magnitude, then for its
// codes.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "quant/numbers/affine.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/row_magnitude.h"
#include "quant/numbers/simd.h"
#include "quant/weights/row_kernels.h"
#include "quant/weights/row_kernels_wide.h"

namespace modelslim {
namespace {

// Symmetric bf16 rows with a finite scale: no NaN, and no quotient below -(bound + 0.5), so only the upper clamp is
// needed. The result is an integer in the low bits. For the multiplication see affine_kernels.cc.
MODELSLIM_INLINE uint32_t CodeOfBF16(uint16_t x, float reciprocal, float highest) {
  const float quotient = std::bit_cast<float>(static_cast<uint32_t>(x) << 16) * reciprocal;
  const uint32_t bits = std::bit_cast<uint32_t>(quotient);
  const float rounded = std::bit_cast<float>((bits + 0x8000u) & 0xffff0000u);
  return std::bit_cast<uint32_t>((rounded < highest ? rounded : highest) + kRoundingMagic);
}

MODELSLIM_INLINE uint32_t CodeOfF32(float x, float scale, float lowest, float highest) {
  const float quotient = x / scale;
  const float clamped = quotient < highest ? quotient : highest;
  return std::bit_cast<uint32_t>((clamped > lowest ? clamped : lowest) + kRoundingMagic);
}

MODELSLIM_MULTIVERSION void QuantizeBF16(const uint16_t* x, int64_t n, float reciprocal, float highest, int8_t* q) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) q[i] = static_cast<int8_t>(CodeOfBF16(x[i], reciprocal, highest) & 0xffu);
}

MODELSLIM_MULTIVERSION void QuantizeF32(const float* x, int64_t n, float scale, float lowest, float highest,
                                        int8_t* q) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) q[i] = static_cast<int8_t>(CodeOfF32(x[i], scale, lowest, highest) & 0xffu);
}

float SymmetricScale(const ConstView& rows, int64_t row, int bits) {
  const float largest = LargestMagnitude(rows, row);
  return ParamsFromRange(-largest, largest, rows.dtype, IntFormat{bits, true}).scale;
}

// Codes of columns [begin, begin + n) of a row, unpacked. The general path: any dtype, any scale.
void QuantizeSpan(const ConstView& rows, int64_t row, int64_t begin, int64_t n, int bits, float scale, int8_t* q) {
  const IntFormat format{bits, true};
  const int64_t at = row * rows.cols() + begin;
  if (!std::isfinite(scale)) {
    std::memset(q, 0, static_cast<size_t>(n));  // finite / inf = 0, inf / inf and NaN become 0 too
  } else if (rows.dtype == DType::kBF16) {
    QuantizeBF16(static_cast<const uint16_t*>(rows.data) + at, n, 1.0f / scale, format.highest(), q);
  } else if (rows.dtype == DType::kF32) {
    QuantizeF32(static_cast<const float*>(rows.data) + at, n, scale, format.lowest(), format.highest(), q);
  } else {
    const RunParams params{&scale, nullptr, 0, rows.dtype, rows.dtype, format.lowest(), format.highest()};
    float values[kAffineRun];
    for (int64_t i = 0; i < n; i += kAffineRun) {
      const int64_t run = std::min(kAffineRun, n - i);
      LoadRun(static_cast<const F16*>(rows.data) + at + i, rows.dtype, run, values);
      QuantizeRun(values, run, params, q + i);
    }
  }
}

}  // namespace

void QuantizeRowsMinMax(const ConstView& rows, int bits, int8_t* q, float* scale) {
  MODELSLIM_CHECK(IsModelDType(rows.dtype) && (bits == 4 || bits == 8));
  const int64_t n = rows.rows(), cols = rows.cols();
  for (int64_t row = 0; row < n; ++row) {
    scale[row] = SymmetricScale(rows, row, bits);
    for (int64_t begin = 0; begin < cols; begin += kAffineRun) {
      const int64_t run = std::min(kAffineRun, cols - begin);
      PrefetchRow(rows, row + 1, begin, run);
      QuantizeSpan(rows, row, begin, run, bits, scale[row], q + row * cols + begin);
    }
  }
}

}  // namespace modelslim
