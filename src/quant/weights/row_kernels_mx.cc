// MX rows with the minmax rule. bf16 blocks are worked on as 16-bit integers: dividing by a power of two subtracts from
// the exponent field, and both element formats are short enough for rounding by integer addition (ties away from zero).
// Blocks where that shortcut would meet subnormals, infinities or NaN take the general path.
#include <algorithm>
#include <bit>
#include <cstring>

#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"
#include "quant/numbers/simd.h"
#include "quant/weights/row_kernels.h"
#include "quant/weights/row_kernels_wide.h"

namespace modelslim {
namespace {

constexpr int kBlock = static_cast<int>(kMxBlock);
// Exponents for which a bf16 element below the shortcut's reach is certainly a zero of its format, and no scaled
// element falls below the f32 subnormals.
constexpr int kLowestShort = -100, kHighestShort = 15;

MODELSLIM_INLINE uint16_t BlockLargest(const uint16_t* x) {
  uint16_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (int i = 0; i < kBlock; ++i) {
    const uint16_t magnitude = static_cast<uint16_t>(x[i] & 0x7fffu);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

MODELSLIM_INLINE uint32_t BlockLargest(const uint32_t* x) {
  uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (int i = 0; i < kBlock; ++i) {
    const uint32_t magnitude = x[i] & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

// Codes of e2m1: 0, .5, 1, 1.5, 2, 3, 4, 6. From 1 on the exponent and one fraction bit, below two comparisons.
MODELSLIM_INLINE void Fp4Block(const uint16_t* x, int exponent, uint8_t* packed) {
  alignas(64) uint16_t codes[kBlock];
  const int16_t shift = static_cast<int16_t>(exponent * 128);
#pragma omp simd
  for (int i = 0; i < kBlock; ++i) {
    const int16_t y = static_cast<int16_t>(static_cast<int16_t>(x[i] & 0x7fffu) - shift);
    const int16_t small = static_cast<int16_t>((y >= 0x3e80 ? 1 : 0) + (y >= 0x3f40 ? 1 : 0));
    int16_t code = static_cast<int16_t>(((y + 0x20) >> 6) - 252);
    code = code > small ? code : small;
    code = code < 7 ? code : int16_t{7};
    codes[i] = static_cast<uint16_t>(code | (x[i] > 0x8000u ? 8 : 0));
  }
  uint32_t pairs[kBlock / 2];
  std::memcpy(pairs, codes, sizeof pairs);
#pragma omp simd
  for (int i = 0; i < kBlock / 2; ++i) packed[i] = static_cast<uint8_t>(pairs[i] | (pairs[i] >> 12));
}

// Codes of e4m3 from 2^-6 on. False when a nonzero element lies below: nothing is written then.
MODELSLIM_INLINE bool Fp8Block(const uint16_t* x, int exponent, uint8_t* codes) {
  const int16_t shift = static_cast<int16_t>(exponent * 128);
  alignas(64) uint8_t made[kBlock];
  uint16_t below = 0;
#pragma omp simd reduction(| : below)
  for (int i = 0; i < kBlock; ++i) {
    const uint16_t magnitude = static_cast<uint16_t>(x[i] & 0x7fffu);
    const int16_t y = static_cast<int16_t>(static_cast<int16_t>(magnitude) - shift);
    below = static_cast<uint16_t>(below | (y < 0x3c80 ? magnitude : 0u));
    int16_t code = static_cast<int16_t>(((y + 8) >> 4) - 960);
    code = code > 0 ? code : int16_t{0};
    code = code < 0x7e ? code : int16_t{0x7e};
    made[i] = static_cast<uint8_t>(code | (x[i] > 0x8000u ? 0x80 : 0));
  }
  if (below != 0) return false;
  std::memcpy(codes, made, sizeof made);
  return true;
}

MODELSLIM_INLINE void Fp4Block(const float* x, float inverse, uint8_t* packed) {
  // The sum y / 0.5 + 0.5 is rounded to f32: already the float below 0.25 reaches 1.
  constexpr float kFirst = 0x1.fffffep-3f;
  alignas(64) uint32_t codes[kBlock];
#pragma omp simd
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = x[i] * inverse;
    const uint32_t bits = std::bit_cast<uint32_t>(scaled) & 0x7fffffffu;
    const float y = std::bit_cast<float>(bits);
    const int32_t small = (y >= kFirst ? 1 : 0) + (y >= 0.75f ? 1 : 0);
    int32_t code = static_cast<int32_t>((bits + 0x200000u) >> 22) - 252;
    code = code > small ? code : small;
    code = code < 7 ? code : 7;
    codes[i] = static_cast<uint32_t>(code) | (scaled < 0.0f ? 8u : 0u);
  }
  uint64_t pairs[kBlock / 2];
  std::memcpy(pairs, codes, sizeof pairs);
#pragma omp simd
  for (int i = 0; i < kBlock / 2; ++i) packed[i] = static_cast<uint8_t>(pairs[i] | (pairs[i] >> 28));
}

MODELSLIM_INLINE void Fp8Block(const float* x, float inverse, uint8_t* codes) {
#pragma omp simd
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = x[i] * inverse;
    const uint32_t bits = std::bit_cast<uint32_t>(scaled) & 0x7fffffffu;
    const int32_t normal = static_cast<int32_t>((bits + 0x80000u) >> 20) - 960;
    const float tiny = std::bit_cast<float>(bits) < 0x1p-6f ? std::bit_cast<float>(bits) : 0.0f;
    const int32_t subnormal = static_cast<int32_t>(tiny * 512.0f + 0.5f);
    int32_t code = bits < 0x3c800000u ? subnormal : normal;
    code = code < 0x7e ? code : 0x7e;
    codes[i] = static_cast<uint8_t>(static_cast<uint32_t>(code) | (scaled < 0.0f ? 0x80u : 0u));
  }
}

// Any dtype, any block, also a short one at the end of a row. Packs fp4 (n even).
void GeneralBlock(const void* x, int64_t n, DType dtype, const MxRule& rule, const MxExponentTable& table,
                  uint8_t* codes, uint8_t* stored) {
  float values[kBlock];
  uint8_t made[kBlock];
  LoadRun(x, dtype, n, values);
  *stored = MxStoredExponent(QuantizeMxBlock(values, n, dtype, rule, &table, made));
  if (!rule.fp4) {
    std::memcpy(codes, made, static_cast<size_t>(n));
    return;
  }
  for (int64_t i = 0; i + 1 < n; i += 2) codes[i / 2] = static_cast<uint8_t>(made[i] | (made[i + 1] << 4));
}

template <bool kFp4>
MODELSLIM_INLINE void RowBF16(const uint16_t* x, int64_t blocks, const MxRule& rule, const MxExponentTable& table,
                              uint8_t* codes, uint8_t* stored) {
  constexpr int kBytes = kFp4 ? kBlock / 2 : kBlock;
  for (int64_t block = 0; block < blocks; ++block, x += kBlock, codes += kBytes) {
    const int exponent = table(BlockLargest(x));
    bool done = false;
    if (exponent >= kLowestShort && exponent <= kHighestShort) {
      if constexpr (kFp4) {
        Fp4Block(x, exponent, codes);
        done = true;
      } else {
        done = Fp8Block(x, exponent, codes);
      }
      stored[block] = static_cast<uint8_t>(exponent + 127);
    }
    if (!done) GeneralBlock(x, kBlock, DType::kBF16, rule, table, codes, stored + block);
  }
}

template <bool kFp4>
MODELSLIM_INLINE void RowF32(const float* x, int64_t blocks, const MxRule& rule, const MxExponentTable& table,
                             uint8_t* codes, uint8_t* stored) {
  constexpr int kBytes = kFp4 ? kBlock / 2 : kBlock;
  for (int64_t block = 0; block < blocks; ++block, x += kBlock, codes += kBytes) {
    uint32_t bits[kBlock];
    std::memcpy(bits, x, sizeof bits);
    const int exponent = table(BlockLargest(bits));
    if (exponent < -126 || exponent > 126) {
      GeneralBlock(x, kBlock, DType::kF32, rule, table, codes, stored + block);
      continue;
    }
    const float inverse = std::bit_cast<float>(static_cast<uint32_t>(127 - exponent) << 23);
    kFp4 ? Fp4Block(x, inverse, codes) : Fp8Block(x, inverse, codes);
    stored[block] = static_cast<uint8_t>(exponent + 127);
  }
}

MODELSLIM_MULTIVERSION void RowFp4BF16(const uint16_t* x, int64_t n, const MxRule& r, const MxExponentTable& t,
                                       uint8_t* c, uint8_t* s) {
  RowBF16<true>(x, n, r, t, c, s);
}
MODELSLIM_MULTIVERSION void RowFp8BF16(const uint16_t* x, int64_t n, const MxRule& r, const MxExponentTable& t,
                                       uint8_t* c, uint8_t* s) {
  RowBF16<false>(x, n, r, t, c, s);
}
MODELSLIM_MULTIVERSION void RowFp4F32(const float* x, int64_t n, const MxRule& r, const MxExponentTable& t, uint8_t* c,
                                      uint8_t* s) {
  RowF32<true>(x, n, r, t, c, s);
}
MODELSLIM_MULTIVERSION void RowFp8F32(const float* x, int64_t n, const MxRule& r, const MxExponentTable& t, uint8_t* c,
                                      uint8_t* s) {
  RowF32<false>(x, n, r, t, c, s);
}

// The whole blocks of a row, 64 at a time; what the kernel leaves takes the general path.
template <class T>
void WideRow(uint64_t (*kernel)(const T*, int64_t, const MxExponentTable&, uint8_t*, uint8_t*), const T* x,
             int64_t blocks, DType dtype, const MxRule& rule, const MxExponentTable& table, uint8_t* codes,
             uint8_t* stored) {
  const int64_t bytes = rule.fp4 ? kBlock / 2 : kBlock;
  for (int64_t begin = 0; begin < blocks; begin += 64) {
    const int64_t n = std::min<int64_t>(64, blocks - begin);
    for (uint64_t left = kernel(x + begin * kBlock, n, table, codes + begin * bytes, stored + begin); left != 0;
         left &= left - 1) {
      const int64_t block = begin + std::countr_zero(left);
      GeneralBlock(x + block * kBlock, kBlock, dtype, rule, table, codes + block * bytes, stored + block);
    }
  }
}

void WholeBlocks(const void* x, int64_t blocks, DType dtype, const MxRule& rule, const MxExponentTable& table,
                 uint8_t* codes, uint8_t* stored) {
  const WideRowKernels* wide = Wide();
  if (dtype == DType::kBF16) {
    const uint16_t* half = static_cast<const uint16_t*>(x);
    if (wide != nullptr) {
      return WideRow(rule.fp4 ? wide->mxfp4_bf16 : wide->mxfp8_bf16, half, blocks, dtype, rule, table, codes, stored);
    }
    return rule.fp4 ? RowFp4BF16(half, blocks, rule, table, codes, stored)
                    : RowFp8BF16(half, blocks, rule, table, codes, stored);
  }
  const float* full = static_cast<const float*>(x);
  if (wide != nullptr) {
    return WideRow(rule.fp4 ? wide->mxfp4_f32 : wide->mxfp8_f32, full, blocks, dtype, rule, table, codes, stored);
  }
  return rule.fp4 ? RowFp4F32(full, blocks, rule, table, codes, stored)
                  : RowFp8F32(full, blocks, rule, table, codes, stored);
}

}  // namespace

void QuantizeRowsMx(const ConstView& rows, const MxRule& rule, const MxExponentTable& table, uint8_t* codes,
                    uint8_t* exponents) {
  MODELSLIM_CHECK(IsModelDType(rows.dtype) && (!rule.fp4 || rows.cols() % 2 == 0));
  const int64_t n = rows.rows(), cols = rows.cols(), blocks = MxBlocks(cols);
  const int64_t size = static_cast<int64_t>(DTypeSize(rows.dtype)), per_block = rule.fp4 ? kBlock / 2 : kBlock;
  const int64_t done = rows.dtype == DType::kF16 ? 0 : cols / kMxBlock;
  for (int64_t row = 0; row < n; ++row) {
    const std::byte* x = static_cast<const std::byte*>(rows.data) + row * cols * size;
    uint8_t* out = codes + row * (rule.fp4 ? cols / 2 : cols);
    uint8_t* stored = exponents + row * blocks;
    if (done > 0) WholeBlocks(x, done, rows.dtype, rule, table, out, stored);
    for (int64_t block = done; block < blocks; ++block) {
      const int64_t begin = block * kMxBlock;
      GeneralBlock(x + begin * size, std::min(kMxBlock, cols - begin), rows.dtype, rule, table, out + block * per_block,
                   stored + block);
    }
  }
}

}  // namespace modelslim
