#include "quant/row_kernels_wide.h"

#include <atomic>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <bit>

#include "tensor/float16.h"
#include "tensor/fp8.h"

// GCC 12's own headers make vectors from themselves (PR 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"

#define MODELSLIM_WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define MODELSLIM_WIDE_LAMBDA MODELSLIM_WIDE __attribute__((always_inline))
#define MODELSLIM_WIDE_INLINE inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq")))

namespace modelslim {
namespace {

constexpr int64_t kBlock = kMxBlock;
// Exponents for which a bf16 element below the reach of 16-bit arithmetic is certainly a zero of its format, and no
// scaled element falls below the f32 subnormals.
constexpr int kLowestShort = -100, kHighestShort = 15;

// 32 bf16 numbers as two vectors of f32, in the order in which packing puts them back.
struct Halves {
  __m512 a, b;
};
MODELSLIM_WIDE_INLINE Halves Widen(__m512i x) {
  const __m512i zero = _mm512_setzero_si512();
  return {_mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, x)), _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, x))};
}

// The bits of a quotient of two bf16 numbers rounded to bf16, still 32 wide; the low half is garbage. Such a quotient
// is never a tie (see affine_kernels.cc), so half up is as good as half to even. No NaN.
MODELSLIM_WIDE_INLINE __m512i RoundedBits(__m512 quotient) {
  return _mm512_add_epi32(_mm512_castps_si512(quotient), _mm512_set1_epi32(0x8000));
}

// Integers of 32 symmetric bf16 values, 16 bits each. A negative quotient never reaches below -7.5.
MODELSLIM_WIDE_INLINE __m512i Int4OfBF16(__m512i x, __m512 reciprocal) {
  const __m512i keep = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __m512 top = _mm512_set1_ps(7.0f);
  const Halves halves = Widen(x);
  const __m512 a = _mm512_castsi512_ps(_mm512_and_si512(RoundedBits(_mm512_mul_ps(halves.a, reciprocal)), keep));
  const __m512 b = _mm512_castsi512_ps(_mm512_and_si512(RoundedBits(_mm512_mul_ps(halves.b, reciprocal)), keep));
  return _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_min_ps(a, top)), _mm512_cvtps_epi32(_mm512_min_ps(b, top)));
}

MODELSLIM_WIDE_INLINE __mmask32 First(int64_t n) { return n >= 32 ? 0xffffffffu : (uint32_t{1} << n) - 1u; }
MODELSLIM_WIDE_INLINE __mmask16 First16(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffu : (uint32_t{1} << n) - 1u);
}

// The last vector of a run has n values only; the others go unmasked.
MODELSLIM_WIDE_INLINE __m512i LoadHalves(const uint16_t* x, int64_t n) {
  return n >= 32 ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16(First(n), x);
}
MODELSLIM_WIDE_INLINE __m512 LoadFloats(const float* x, int64_t n) {
  return n >= 16 ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(First16(n), x);
}
MODELSLIM_WIDE_INLINE void StoreBytes(uint8_t* target, int64_t n, __m256i bytes) {
  if (n >= 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), bytes);
  } else {
    _mm256_mask_storeu_epi8(target, First(n), bytes);
  }
}
MODELSLIM_WIDE_INLINE void StoreBytes(uint8_t* target, int64_t n, __m128i bytes) {
  if (n >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), bytes);
  } else {
    _mm_mask_storeu_epi8(target, First16(n), bytes);
  }
}

MODELSLIM_WIDE PairSums PackPairBF16(const uint16_t* low, const uint16_t* high, int64_t n, float reciprocal_low,
                                     float reciprocal_high, uint8_t* packed) {
  const __m512 scale_low = _mm512_set1_ps(reciprocal_low), scale_high = _mm512_set1_ps(reciprocal_high);
  const __m512i ones = _mm512_set1_epi16(1), nibble = _mm512_set1_epi16(15);
  __m512i sum_low = _mm512_setzero_si512(), sum_high = sum_low;
  for (int64_t i = 0; i < n; i += 32) {
    const __m512i a = Int4OfBF16(LoadHalves(low + i, n - i), scale_low);
    const __m512i b = Int4OfBF16(LoadHalves(high + i, n - i), scale_high);
    sum_low = _mm512_add_epi32(sum_low, _mm512_madd_epi16(a, ones));
    sum_high = _mm512_add_epi32(sum_high, _mm512_madd_epi16(b, ones));
    const __m512i both = _mm512_or_si512(_mm512_and_si512(a, nibble), _mm512_slli_epi16(b, 4));
    StoreBytes(packed + i, n - i, _mm512_cvtepi16_epi8(both));
  }
  return {_mm512_reduce_add_epi32(sum_low), _mm512_reduce_add_epi32(sum_high)};
}

MODELSLIM_WIDE_INLINE __m512i Int4OfF32(__m512 x, __m512 scale) {
  const __m512 quotient = _mm512_div_ps(x, scale);
  return _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(quotient, _mm512_set1_ps(7.0f)), _mm512_set1_ps(-8.0f)));
}

MODELSLIM_WIDE PairSums PackPairF32(const float* low, const float* high, int64_t n, float scale_low, float scale_high,
                                    uint8_t* packed) {
  const __m512 by_low = _mm512_set1_ps(scale_low), by_high = _mm512_set1_ps(scale_high);
  const __m512i nibble = _mm512_set1_epi32(15);
  __m512i sum_low = _mm512_setzero_si512(), sum_high = sum_low;
  for (int64_t i = 0; i < n; i += 16) {
    const __m512i a = Int4OfF32(LoadFloats(low + i, n - i), by_low);
    const __m512i b = Int4OfF32(LoadFloats(high + i, n - i), by_high);
    sum_low = _mm512_add_epi32(sum_low, a);
    sum_high = _mm512_add_epi32(sum_high, b);
    const __m512i both = _mm512_or_si512(_mm512_and_si512(a, nibble), _mm512_slli_epi32(b, 4));
    StoreBytes(packed + i, n - i, _mm512_cvtepi32_epi8(both));
  }
  return {_mm512_reduce_add_epi32(sum_low), _mm512_reduce_add_epi32(sum_high)};
}

// Codes of 16-bit floats `magnitude` (bf16 bits, not negative) from 2^-6 on, half to even.
MODELSLIM_WIDE_INLINE __m512i E4M3OfBF16(__m512i magnitude) {
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(magnitude, 4), _mm512_set1_epi16(1));
  const __m512i rounded = _mm512_add_epi16(magnitude, _mm512_add_epi16(odd, _mm512_set1_epi16(7)));
  return _mm512_sub_epi16(_mm512_srli_epi16(rounded, 4), _mm512_set1_epi16(960));
}

MODELSLIM_WIDE void Fp8BF16(const uint16_t* x, int64_t n, float reciprocal, uint8_t* codes) {
  const __m512 scale = _mm512_set1_ps(reciprocal);
  const __m512i sign = _mm512_set1_epi16(static_cast<short>(0x8000)), no_sign = _mm512_set1_epi16(0x7fff);
  const __m512i normal = _mm512_set1_epi16(0x3c80), code_sign = _mm512_set1_epi16(0x80);
  for (int64_t i = 0; i < n; i += 32) {
    const Halves halves = Widen(LoadHalves(x + i, n - i));
    const __m512i quotient = _mm512_packus_epi32(_mm512_srli_epi32(RoundedBits(_mm512_mul_ps(halves.a, scale)), 16),
                                                 _mm512_srli_epi32(RoundedBits(_mm512_mul_ps(halves.b, scale)), 16));
    const __m512i magnitude = _mm512_and_si512(quotient, no_sign);
    const __mmask32 whole = _mm512_cmpge_epi16_mask(magnitude, normal);
    __m512i code = _mm512_maskz_mov_epi16(whole, E4M3OfBF16(magnitude));
    const __mmask32 negative = _mm512_cmpgt_epu16_mask(quotient, sign);
    code = _mm512_mask_mov_epi16(code, negative, _mm512_or_si512(code, code_sign));
    StoreBytes(codes + i, n - i, _mm512_cvtepi16_epi8(code));
    // Below 2^-6: few, since the largest of the row became 448.
    for (__mmask32 rest = ~whole & _mm512_test_epi16_mask(magnitude, magnitude); rest != 0; rest &= rest - 1) {
      const int at = std::countr_zero(rest);
      codes[i + at] = F32ToE4M3(RoundTo<BF16>(ToF32(BF16{x[i + at]}) * reciprocal));
    }
  }
}

// e4m3, half to even, of finite values that round to 448 at most; zero loses its sign.
MODELSLIM_WIDE_INLINE __m512i E4M3OfF32(__m512 v) {
  const __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(magnitude, 20), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(magnitude, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7ffff)));
  const __m512i normal = _mm512_sub_epi32(_mm512_srli_epi32(rounded, 20), _mm512_set1_epi32(960));
  const __m512 shifted = _mm512_add_ps(_mm512_castsi512_ps(magnitude), _mm512_set1_ps(16384.0f));
  const __mmask16 small = _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(0x3c800000));
  const __m512i code =
      _mm512_mask_sub_epi32(normal, small, _mm512_castps_si512(shifted), _mm512_set1_epi32(0x46800000));
  const __mmask16 negative = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mask_or_epi32(code, negative, code, _mm512_set1_epi32(0x80));
}

// The largest quotient is 448 up to rounding, so nothing needs clamping.
MODELSLIM_WIDE void Fp8F32(const float* x, int64_t n, float scale, uint8_t* codes) {
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < n; i += 16) {
    StoreBytes(codes + i, n - i, _mm512_cvtepi32_epi8(E4M3OfF32(_mm512_div_ps(LoadFloats(x + i, n - i), by))));
  }
}

// The largest of 32 unsigned 16-bit numbers, through the one horizontal minimum there is.
MODELSLIM_WIDE_INLINE uint32_t Largest(__m512i v) {
  const __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  const __m128i quarter = _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  const __m128i inverted = _mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi16(-1)));
  return static_cast<uint32_t>(~_mm_cvtsi128_si32(inverted)) & 0xffffu;
}

MODELSLIM_WIDE uint16_t LargestOf16(const uint16_t* x, int64_t n) {
  const __m512i no_sign = _mm512_set1_epi16(0x7fff);
  __m512i largest[4] = {};
  int64_t i = 0;
  for (; i + 128 <= n; i += 128) {
    for (int k = 0; k < 4; ++k) {
      const __m512i v = _mm512_loadu_si512(x + i + 32 * k);
      largest[k] = _mm512_max_epu16(largest[k], _mm512_and_si512(v, no_sign));
    }
  }
  for (; i < n; i += 32) {
    const __m512i v = LoadHalves(x + i, n - i);
    largest[0] = _mm512_max_epu16(largest[0], _mm512_and_si512(v, no_sign));
  }
  const __m512i all =
      _mm512_max_epu16(_mm512_max_epu16(largest[0], largest[1]), _mm512_max_epu16(largest[2], largest[3]));
  return static_cast<uint16_t>(Largest(all));
}

MODELSLIM_WIDE uint32_t LargestOf32(const uint32_t* x, int64_t n) {
  const __m512i no_sign = _mm512_set1_epi32(0x7fffffff);
  __m512i largest[4] = {};
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    for (int k = 0; k < 4; ++k) {
      const __m512i v = _mm512_loadu_si512(x + i + 16 * k);
      largest[k] = _mm512_max_epu32(largest[k], _mm512_and_si512(v, no_sign));
    }
  }
  for (; i < n; i += 16) {
    const __m512i v = _mm512_maskz_loadu_epi32(First16(n - i), x + i);
    largest[0] = _mm512_max_epu32(largest[0], _mm512_and_si512(v, no_sign));
  }
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3])));
}

// Magnitudes of a block divided by 2^exponent, as bf16 bits, plus `bias`: scaling moves the exponent field, and what
// the caller wants to add for rounding joins the same subtraction.
MODELSLIM_WIDE_INLINE __m512i Scaled(__m512i magnitude, int exponent, int bias) {
  return _mm512_sub_epi16(magnitude, _mm512_set1_epi16(static_cast<short>(exponent * 128 - bias)));
}

MODELSLIM_WIDE uint64_t MxFp4BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed,
                                  uint8_t* stored) {
  // Half a step for rounding to one fraction bit, and 252 codes that lie below 2^-1.
  constexpr int kBias = 0x20 - 252 * 64;
  const __m512i no_sign = _mm512_set1_epi16(0x7fff), sign = _mm512_set1_epi16(static_cast<short>(0x8000));
  const __m512i quarter = _mm512_set1_epi16(0x3e80 + kBias), three_quarters = _mm512_set1_epi16(0x3f40 + kBias);
  const __m512i one = _mm512_set1_epi16(1), two = _mm512_set1_epi16(2), seven = _mm512_set1_epi16(7);
  const __m512i eight = _mm512_set1_epi16(8), weights = _mm512_set1_epi32(0x00100001);  // even + 16 * odd
  const int16_t* exponents = table.by_value();
  uint64_t undone = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const __m512i bits = _mm512_loadu_si512(x + block * kBlock), magnitude = _mm512_and_si512(bits, no_sign);
    const int exponent = exponents[Largest(magnitude)];
    if (static_cast<unsigned>(exponent - kLowestShort) > static_cast<unsigned>(kHighestShort - kLowestShort)) {
      undone |= uint64_t{1} << block;
      continue;
    }
    const __m512i y = Scaled(magnitude, exponent, kBias);
    __m512i code = _mm512_srai_epi16(y, 6);
    code = _mm512_maskz_max_epi16(_mm512_cmpge_epi16_mask(y, quarter), code, one);
    code = _mm512_mask_max_epi16(code, _mm512_cmpge_epi16_mask(y, three_quarters), code, two);
    code = _mm512_min_epi16(code, seven);
    code = _mm512_mask_add_epi16(code, _mm512_cmpgt_epu16_mask(bits, sign), code, eight);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(packed + block * (kBlock / 2)),
                     _mm512_cvtepi32_epi8(_mm512_madd_epi16(code, weights)));
    stored[block] = static_cast<uint8_t>(exponent + 127);
  }
  return undone;
}

MODELSLIM_WIDE uint64_t MxFp8BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
                                  uint8_t* stored) {
  constexpr int kBias = 8 - 960 * 16;  // half a step, and the codes below 2^-6
  const __m512i no_sign = _mm512_set1_epi16(0x7fff), sign = _mm512_set1_epi16(static_cast<short>(0x8000));
  const __m512i normal = _mm512_set1_epi16(0x3c80 + kBias), top = _mm512_set1_epi16(0x7e);
  const __m512i code_sign = _mm512_set1_epi16(0x80);
  const int16_t* exponents = table.by_value();
  uint64_t undone = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const __m512i bits = _mm512_loadu_si512(x + block * kBlock), magnitude = _mm512_and_si512(bits, no_sign);
    const int exponent = exponents[Largest(magnitude)];
    const __m512i y = Scaled(magnitude, exponent, kBias);
    const __mmask32 whole = _mm512_cmpge_epi16_mask(y, normal), present = _mm512_test_epi16_mask(magnitude, magnitude);
    if (static_cast<unsigned>(exponent - kLowestShort) > static_cast<unsigned>(kHighestShort - kLowestShort) ||
        (present & ~whole) != 0) {
      undone |= uint64_t{1} << block;
      continue;
    }
    __m512i code = _mm512_maskz_min_epi16(whole, _mm512_srai_epi16(y, 4), top);
    code = _mm512_mask_add_epi16(code, _mm512_cmpgt_epu16_mask(bits, sign), code, code_sign);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + block * kBlock), _mm512_cvtepi16_epi8(code));
    stored[block] = static_cast<uint8_t>(exponent + 127);
  }
  return undone;
}

// The largest of each of two vectors of unsigned numbers, in the low two elements: they are folded together.
MODELSLIM_WIDE_INLINE __m128i LargestOfBoth(__m512i a, __m512i b) {
  const __m512i halves = _mm512_max_epu32(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee));
  const __m512i quarters = _mm512_max_epu32(halves, _mm512_shuffle_i64x2(halves, halves, 0xb1));
  const __m128i both =
      _mm_max_epu32(_mm_unpacklo_epi32(_mm512_castsi512_si128(quarters), _mm512_extracti32x4_epi32(quarters, 2)),
                    _mm_unpackhi_epi32(_mm512_castsi512_si128(quarters), _mm512_extracti32x4_epi32(quarters, 2)));
  return _mm_max_epu32(both, _mm_unpackhi_epi64(both, both));
}

struct Block {
  __m512 a, b;
  __m512i magnitude_a, magnitude_b;
};

MODELSLIM_WIDE_INLINE Block LoadBlock(const float* x) {
  const __m512i no_sign = _mm512_set1_epi32(0x7fffffff);
  const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
  return {a, b, _mm512_and_si512(_mm512_castps_si512(a), no_sign), _mm512_and_si512(_mm512_castps_si512(b), no_sign)};
}

MODELSLIM_WIDE_INLINE __m512i Magnitudes(const Block& block) {
  return _mm512_max_epu32(block.magnitude_a, block.magnitude_b);
}

// The upper halves of two vectors of 32-bit numbers, in order.
MODELSLIM_WIDE_INLINE __m512i UpperHalves(__m512i a, __m512i b) {
  alignas(64) static constexpr uint16_t kUpper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                      33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  return _mm512_permutex2var_epi16(a, _mm512_load_si512(kUpper), b);
}

// Which elements are negative once divided by 2^exponent: above 2^0 that takes more than half the least subnormal.
MODELSLIM_WIDE_INLINE __mmask32 StillNegative(const Block& block, int exponent) {
  const uint32_t vanishes = exponent > 0 ? 0x80000000u | (uint32_t{1} << ((exponent - 1) & 31)) : 0;
  const __m512 least = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(vanishes)));
  return _mm512_kunpackw(_mm512_cmp_ps_mask(block.b, least, _CMP_LT_OQ),
                         _mm512_cmp_ps_mask(block.a, least, _CMP_LT_OQ));
}

// A block under its exponent, in 16-bit arithmetic: rounding half up to one fraction bit looks at the upper halves of
// the floats alone. False when the exponent is out of reach.
MODELSLIM_WIDE_INLINE bool Fp4Block(const Block& block, int exponent, uint8_t* packed) {
  constexpr int kBias = 0x20 - 252 * 64;  // as in MxFp4BF16
  const __m512i sign = _mm512_set1_epi16(static_cast<short>(0x8000));
  const __m512i bits = UpperHalves(_mm512_castps_si512(block.a), _mm512_castps_si512(block.b));
  const __m512i y = Scaled(_mm512_andnot_si512(sign, bits), exponent, kBias);
  // Already the float below 0.25 reaches 1: the sum y / 0.5 + 0.5 is rounded to f32.
  const __m512i quarter = _mm512_set1_epi32(0x3e7fffff + static_cast<int>(static_cast<unsigned>(exponent) << 23));
  const __mmask32 one = _mm512_kunpackw(_mm512_cmpge_epi32_mask(block.magnitude_b, quarter),
                                        _mm512_cmpge_epi32_mask(block.magnitude_a, quarter));
  __m512i code = _mm512_maskz_max_epi16(one, _mm512_srai_epi16(y, 6), _mm512_set1_epi16(1));
  code = _mm512_mask_max_epi16(code, _mm512_cmpge_epi16_mask(y, _mm512_set1_epi16(0x3f40 + kBias)), code,
                               _mm512_set1_epi16(2));
  code = _mm512_min_epi16(code, _mm512_set1_epi16(7));
  // An upper half of a negative zero does not tell.
  __mmask32 negative = _mm512_cmpgt_epu16_mask(bits, sign);
  if (_mm512_cmpeq_epi16_mask(bits, sign) != 0) negative = StillNegative(block, exponent);
  code = _mm512_mask_add_epi16(code, negative, code, _mm512_set1_epi16(8));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(packed),
                   _mm512_cvtepi32_epi8(_mm512_madd_epi16(code, _mm512_set1_epi32(0x00100001))));
  return static_cast<unsigned>(exponent - kLowestShort) <= static_cast<unsigned>(kHighestShort - kLowestShort);
}

MODELSLIM_WIDE uint64_t MxFp4F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed,
                                 uint8_t* stored) {
  uint64_t undone = 0;
  const auto finish = [&](int64_t i, const Block& block, int exponent) MODELSLIM_WIDE_LAMBDA {
    undone |= static_cast<uint64_t>(!Fp4Block(block, exponent, packed + i * (kBlock / 2))) << i;
    stored[i] = static_cast<uint8_t>(exponent + 127);
  };
  int64_t i = 0;
  for (; i + 2 <= blocks; i += 2) {
    const Block first = LoadBlock(x + i * kBlock), second = LoadBlock(x + (i + 1) * kBlock);
    const __m128i largest = LargestOfBoth(Magnitudes(first), Magnitudes(second));
    finish(i, first, table(static_cast<uint32_t>(_mm_cvtsi128_si32(largest))));
    finish(i + 1, second, table(static_cast<uint32_t>(_mm_extract_epi32(largest, 1))));
  }
  for (; i < blocks; ++i) {
    const Block block = LoadBlock(x + i * kBlock);
    finish(i, block, table(_mm512_reduce_max_epu32(Magnitudes(block))));
  }
  return undone;
}

MODELSLIM_WIDE_INLINE __m128i MxFp8Of(__m512 scaled) {
  const __m512i bits = _mm512_and_si512(_mm512_castps_si512(scaled), _mm512_set1_epi32(0x7fffffff));
  const __m512i normal = _mm512_sub_epi32(_mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x80000)), 20),
                                          _mm512_set1_epi32(960));
  const __m512 fine =
      _mm512_add_ps(_mm512_mul_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(512.0f)), _mm512_set1_ps(0.5f));
  const __mmask16 small = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(0x3c800000));
  __m512i code = _mm512_mask_cvttps_epi32(normal, small, fine);
  code = _mm512_min_epi32(code, _mm512_set1_epi32(0x7e));
  const __mmask16 negative = _mm512_cmp_ps_mask(scaled, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_cvtepi32_epi8(_mm512_mask_add_epi32(code, negative, code, _mm512_set1_epi32(0x80)));
}

MODELSLIM_WIDE uint64_t MxFp8F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
                                 uint8_t* stored) {
  uint64_t undone = 0;
  for (int64_t i = 0; i < blocks; ++i) {
    const Block block = LoadBlock(x + i * kBlock);
    const int exponent = table(_mm512_reduce_max_epu32(Magnitudes(block)));
    if (exponent < -126 || exponent > 126) {
      undone |= uint64_t{1} << i;
      continue;
    }
    const __m512 inverse = _mm512_castsi512_ps(_mm512_set1_epi32((127 - exponent) << 23));
    __m128i* out = reinterpret_cast<__m128i*>(codes + i * kBlock);
    _mm_storeu_si128(out, MxFp8Of(_mm512_mul_ps(block.a, inverse)));
    _mm_storeu_si128(out + 1, MxFp8Of(_mm512_mul_ps(block.b, inverse)));
    stored[i] = static_cast<uint8_t>(exponent + 127);
  }
  return undone;
}

constexpr WideRowKernels kWide = {LargestOf16, LargestOf32, PackPairBF16, PackPairF32, Fp8BF16,
                                  Fp8F32,      MxFp4BF16,   MxFp8BF16,    MxFp4F32,    MxFp8F32};

}  // namespace

const WideRowKernels* FindWideRowKernels() {
  static const bool found = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return found ? &kWide : nullptr;
}

}  // namespace modelslim

#else

namespace modelslim {

const WideRowKernels* FindWideRowKernels() { return nullptr; }

}  // namespace modelslim

#endif

namespace modelslim {
namespace {
std::atomic<bool> portable_only{false};
}

const WideRowKernels* Wide() { return portable_only.load(std::memory_order_relaxed) ? nullptr : FindWideRowKernels(); }
void UsePortableRowKernels(bool portable) { portable_only = portable; }

}  // namespace modelslim
