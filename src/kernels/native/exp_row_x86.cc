#include <immintrin.h>

#include "kernels/native/exp_row.h"

#define TARGET_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace modelslim {
namespace {

// FastExpOfNegative of vector_math.h, step by step.
TARGET_AVX512_BF16 inline __m512 ExpOfNegative(__m512 x) {
  const __m512 lowest = _mm512_set1_ps(-87.3365479f);
  const __mmask16 tiny = _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ);
  const __m512 scaled = _mm512_mul_ps(_mm512_mask_mov_ps(x, tiny, lowest), _mm512_set1_ps(1.44269502f));
  const __m512 fraction =
      _mm512_sub_ps(scaled, _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
  __m512 p = _mm512_fmadd_ps(fraction, _mm512_set1_ps(-0.079204240219773236f), _mm512_set1_ps(-0.22433836478672356f));
  p = _mm512_fmadd_ps(fraction, p, _mm512_set1_ps(0.30354260500649682f));
  p = _mm512_fmadd_ps(fraction, p, _mm512_set1_ps(0.00010703434948458272f));
  const __m512 bits =
      _mm512_fmadd_ps(_mm512_set1_ps(0x1p23f), _mm512_sub_ps(scaled, p), _mm512_set1_ps(0x1p23f * 127.0f));
  return _mm512_castsi512_ps(_mm512_maskz_cvttps_epi32(static_cast<__mmask16>(~tiny), bits));
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
