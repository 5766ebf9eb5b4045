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

// Two rows to nibbles. `code_low(i)` and `code_high(i)` leave integers in the low bits above kRoundingMagic's. Bytes
// are made in a loop of their own: otherwise the compiler narrows all of the arithmetic and falls back to the smallest
// vectors.
template <class Low, class High>
MODELSLIM_INLINE PairSums PackPairs(int64_t n, uint8_t* packed, const Low& code_low, const High& code_high) {
  alignas(64) uint32_t wide[kAffineRun];
  uint32_t sum_low = 0, sum_high = 0;
  for (int64_t begin = 0; begin < n; begin += kAffineRun) {
    const int64_t run = n - begin < kAffineRun ? n - begin : kAffineRun;
#pragma omp simd reduction(+ : sum_low, sum_high)
    for (int64_t i = 0; i < run; ++i) {
      const uint32_t low = code_low(begin + i), high = code_high(begin + i);
      sum_low += low;
      sum_high += high;
      wide[i] = (low & 0xfu) | (high << 4);
    }
#pragma omp simd
    for (int64_t i = 0; i < run; ++i) packed[begin + i] = static_cast<uint8_t>(wide[i]);
  }
  const uint32_t magic = static_cast<uint32_t>(n) * std::bit_cast<uint32_t>(kRoundingMagic);
  return {static_cast<int32_t>(sum_low - magic), static_cast<int32_t>(sum_high - magic)};
}

MODELSLIM_MULTIVERSION PairSums PackPairBF16(const uint16_t* low, const uint16_t* high, int64_t n, float reciprocal_low,
                                             float reciprocal_high, uint8_t* packed) {
  return PackPairs(
      n, packed, [=](int64_t i) __attribute__((always_inline)) { return CodeOfBF16(low[i], reciprocal_low, 7.0f); },
      [=](int64_t i) __attribute__((always_inline)) { return CodeOfBF16(high[i], reciprocal_high, 7.0f); });
}

MODELSLIM_MULTIVERSION PairSums PackPairF32(const float* low, const float* high, int64_t n, float scale_low,
                                            float scale_high, uint8_t* packed) {
  return PackPairs(
      n, packed, [=](int64_t i) __attribute__((always_inline)) { return CodeOfF32(low[i], scale_low, -8.0f, 7.0f); },
      [=](int64_t i) __attribute__((always_inline)) { return CodeOfF32(high[i], scale_high, -8.0f, 7.0f); });
}

MODELSLIM_MULTIVERSION PairSums PackPairCodes(const int8_t* low, const int8_t* high, int64_t n, uint8_t* packed) {
  int32_t sum_low = 0, sum_high = 0;
#pragma omp simd reduction(+ : sum_low, sum_high)
  for (int64_t i = 0; i < n; ++i) {
    sum_low += low[i];
    sum_high += high[i];
    packed[i] = static_cast<uint8_t>((static_cast<uint32_t>(low[i]) & 0xfu) | (static_cast<uint32_t>(high[i]) << 4));
  }
  return {sum_low, sum_high};
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

// Columns [begin, begin + n) of rows `row` and `row + 1` into bytes.
PairSums PackSpan(const ConstView& rows, int64_t row, int64_t begin, int64_t n, const float* scale, uint8_t* packed) {
  const int64_t low = row * rows.cols() + begin, high = low + rows.cols();
  if (std::isfinite(scale[0]) && std::isfinite(scale[1])) {
    const WideRowKernels* wide = Wide();
    if (rows.dtype == DType::kBF16) {
      const uint16_t* x = static_cast<const uint16_t*>(rows.data);
      return (wide != nullptr ? wide->pack_pair_bf16 : PackPairBF16)(x + low, x + high, n, 1.0f / scale[0],
                                                                     1.0f / scale[1], packed);
    }
    if (rows.dtype == DType::kF32) {
      const float* x = static_cast<const float*>(rows.data);
      return (wide != nullptr ? wide->pack_pair_f32 : PackPairF32)(x + low, x + high, n, scale[0], scale[1], packed);
    }
  }
  int8_t codes[2][kAffineRun];
  PairSums sums{0, 0};
  for (int64_t i = 0; i < n; i += kAffineRun) {
    const int64_t run = std::min(kAffineRun, n - i);
    QuantizeSpan(rows, row, begin + i, run, 4, scale[0], codes[0]);
    QuantizeSpan(rows, row + 1, begin + i, run, 4, scale[1], codes[1]);
    const PairSums part = PackPairCodes(codes[0], codes[1], run, packed + i);
    sums.low += part.low;
    sums.high += part.high;
  }
  return sums;
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

void QuantizeRowsInt4Packed(const ConstView& rows, uint8_t* packed, float* scale, int32_t* row_sums,
                            int32_t* chunk_sums) {
  const int64_t n = rows.rows(), cols = rows.cols();
  MODELSLIM_CHECK(IsModelDType(rows.dtype) && n % 2 == 0 && (chunk_sums == nullptr || cols % 16 == 0));
  // Four rows of f32 may not fit into the first-level cache, and then the next two would drive out these.
  const bool ahead = rows.dtype != DType::kF32 || cols <= 3072;
  const int64_t width = chunk_sums == nullptr ? std::max<int64_t>(1, cols) : cols / 16;
  if (chunk_sums != nullptr) std::fill(chunk_sums, chunk_sums + 16 * n, 0);
  for (int64_t row = 0; row < n; row += 2) {
    scale[row] = SymmetricScale(rows, row, 4);
    scale[row + 1] = SymmetricScale(rows, row + 1, 4);
    PairSums total{0, 0};
    for (int64_t begin = 0; begin < cols;) {
      const int64_t chunk = begin / width, run = std::min({kAffineRun, (chunk + 1) * width - begin, cols - begin});
      if (ahead) {
        PrefetchRow(rows, row + 2, begin, run);
        PrefetchRow(rows, row + 3, begin, run);
      }
      const PairSums sums = PackSpan(rows, row, begin, run, scale + row, packed + row / 2 * cols + begin);
      total.low += sums.low;
      total.high += sums.high;
      if (chunk_sums != nullptr) {
        chunk_sums[row * 16 + chunk] += sums.low;
        chunk_sums[row * 16 + 16 + chunk] += sums.high;
      }
      begin += run;
    }
    if (row_sums == nullptr) continue;
    row_sums[row] = total.low;
    row_sums[row + 1] = total.high;
  }
}

}  // namespace modelslim
