// What the files of 512-bit row kernels share. Inside quant/ only, and only where they are compiled (x86-64).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "quant/numbers/mx.h"

// GCC 12's own headers make vectors from themselves (PR 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"

#define MODELSLIM_WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define MODELSLIM_WIDE_INLINE inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq")))

namespace modelslim {

// The largest of 32 unsigned 16-bit numbers, through the one horizontal minimum there is.
MODELSLIM_WIDE_INLINE uint32_t Largest(__m512i v) {
  const __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  const __m128i quarter = _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  const __m128i inverted = _mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi16(-1)));
  return static_cast<uint32_t>(~_mm_cvtsi128_si32(inverted)) & 0xffffu;
}

// Of row_kernels_wide.h.
uint64_t WideMxFp4BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
                       uint8_t* stored);
uint64_t WideMxFp8BF16(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
                       uint8_t* stored);
uint64_t WideMxFp4F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes, uint8_t* stored);
uint64_t WideMxFp8F32(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes, uint8_t* stored);

}  // namespace modelslim
