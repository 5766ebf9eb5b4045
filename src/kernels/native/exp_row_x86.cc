#include <immintrin.h>

#include "kernels/native/exp_row.h"

#define TARGET_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace modelslim {
namespace {

// VectorExpOfNegative of vector_math.h, step by step.
TARGET_AVX512_BF16 inline __m512 ExpOfNegative(__m512 x) {
  const __m512 lowest = _mm512_set1_ps(-86.0f), shift = _mm512_set1_ps(0x1.8p23f);
  const __mmask16 tiny = _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ);
  const __m512 clamped = _mm512_mask_mov_ps(x, tiny, lowest);
  const __m512 shifted = _mm512_fmadd_ps(clamped, _mm512_set1_ps(1.44269504f), shift);
  const __m512 whole = _mm512_sub_ps(shifted, shift);
  __m512 r = _mm512_fmadd_ps(whole, _mm512_set1_ps(-0.693359375f), clamped);
  r = _mm512_fmadd_ps(whole, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_castps_si512(shift));
  const __m512i power = _mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23);
  return _mm512_mask_mov_ps(_mm512_mul_ps(p, _mm512_castsi512_ps(power)), tiny, _mm512_setzero_ps());
}

TARGET_AVX512_BF16 float Run(const float* scores, int64_t count, float scale, float max, BF16* p) {
  const __m512 factor = _mm512_set1_ps(scale), largest = _mm512_set1_ps(max);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < count; j += 16) {
    const __mmask16 lanes = count - j >= 16 ? 0xffff : static_cast<__mmask16>((1u << (count - j)) - 1u);
    const __m512 x = _mm512_sub_ps(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, scores + j), factor), largest);
    const __m512 value = _mm512_maskz_mov_ps(lanes, ExpOfNegative(x));
    sum = _mm512_add_ps(sum, value);
    _mm256_mask_storeu_epi16(p + j, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  alignas(64) float partial[16];
  _mm512_store_ps(partial, sum);
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) partial[l] += partial[l + width];
  }
  return partial[0];
}

}  // namespace

ExpRowBF16 ArchExpRowBF16() {
  static const bool supported = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return supported ? Run : nullptr;
}

}  // namespace modelslim
