#include "quant/weights/row_kernels_wide.h"

#include <atomic>

#if defined(__x86_64__) && defined(__GNUC__)

#include <bit>

#include "quant/weights/row_kernels_avx512.h"
#include "tensor/float16.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

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

constexpr WideRowKernels kWide = {LargestOf16,   LargestOf32,   Fp8BF16,      Fp8F32,
                                  WideMxFp4BF16, WideMxFp8BF16, WideMxFp4F32, WideMxFp8F32};

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
