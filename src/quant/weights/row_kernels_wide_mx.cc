// 512-bit loops of the microscaling formats.
#if defined(__x86_64__) && defined(__GNUC__)

#include "quant/weights/row_kernels_avx512.h"

#define MODELSLIM_WIDE_LAMBDA MODELSLIM_WIDE __attribute__((always_inline))

namespace modelslim {
namespace {

constexpr int64_t kBlock = kMxBlock;
// Exponents for which a bf16 element below the reach of 16-bit arithmetic is certainly a zero of its format, and no
// scaled element falls below the f32 subnormals.
constexpr int kLowestShort = -100, kHighestShort = 15;

// Magnitudes of a block divided by 2^exponent, as bf16 bits, plus `bias`: scaling moves the exponent field, and what
// the caller wants to add for rounding joins the same subtraction.
MODELSLIM_WIDE_INLINE __m512i Scaled(__m512i magnitude, int exponent, int bias) {
  return _mm512_sub_epi16(magnitude, _mm512_set1_epi16(static_cast<short>(exponent * 128 - bias)));
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

}  // namespace

MODELSLIM_WIDE uint64_t WideMxFp4BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed,
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

MODELSLIM_WIDE uint64_t WideMxFp8BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
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

MODELSLIM_WIDE uint64_t WideMxFp4F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed,
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

MODELSLIM_WIDE uint64_t WideMxFp8F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
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

}  // namespace modelslim

#endif
