#include <immintrin.h>

#include <cstring>

#include "kernels/native/micro_kernel.h"

#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define TARGET_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace modelslim {
namespace {

using Call = MicroKernel::Call;

// 8 x 48 or 6 x 64: 24 accumulators of 16 floats, three or four vectors of b, the rest of the 32 registers for
// broadcasts of a. The first is a little faster; the second fits the head sizes of attention.

template <int kRows, int kVectors>
TARGET_AVX512 inline void StoreWide(const Call& call, const __m512 (&sum)[kRows][kVectors]) {
  const __m512 alpha = _mm512_set1_ps(call.alpha);
  for (int i = 0; i < kRows; ++i) {
    float* c = call.c + i * call.c_stride;
    for (int j = 0; j < kVectors; ++j) {
      __m512 value = _mm512_mul_ps(alpha, sum[i][j]);
      if (call.add) value = _mm512_add_ps(_mm512_loadu_ps(c + 16 * j), value);
      _mm512_storeu_ps(c + 16 * j, value);
    }
  }
}

template <int kRows, int kVectors>
TARGET_AVX512_BF16 void RunBF16(const Call& call) {
  __m512 sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) sum[i][j] = _mm512_setzero_ps();
  }
  const char* a[kRows];
  for (int i = 0; i < kRows; ++i) a[i] = static_cast<const char*>(call.a) + i * call.a_stride * 2;
  const char* b = static_cast<const char*>(call.b);
  const int64_t bytes = call.depth * 2;
  for (int64_t k = 0; k < bytes; k += 4, b += 64 * kVectors) {
    __m512bh panel[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) panel[j] = reinterpret_cast<__m512bh>(_mm512_load_si512(b + 64 * j));
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      int32_t pair;
      std::memcpy(&pair, a[i] + k, sizeof pair);
      const __m512bh both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], both, panel[j]);
    }
  }
  StoreWide<kRows, kVectors>(call, sum);
}

template <int kRows, int kVectors>
TARGET_AVX512 void RunWideF32(const Call& call) {
  __m512 sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) sum[i][j] = _mm512_setzero_ps();
  }
  const float* a[kRows];
  for (int i = 0; i < kRows; ++i) a[i] = static_cast<const float*>(call.a) + i * call.a_stride;
  const float* b = static_cast<const float*>(call.b);
  for (int64_t k = 0; k < call.depth; ++k, b += 16 * kVectors) {
    __m512 panel[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) panel[j] = _mm512_load_ps(b + 16 * j);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512 value = _mm512_set1_ps(a[i][k]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] = _mm512_fmadd_ps(value, panel[j], sum[i][j]);
    }
  }
  StoreWide<kRows, kVectors>(call, sum);
}

// 6 x 16: twelve accumulators of 8 floats, two vectors of b, two broadcasts.
constexpr int kNarrowRows = 6, kNarrowVectors = 2;

template <int kRows>
TARGET_AVX2 void RunNarrowF32(const Call& call) {
  __m256 sum[kRows][kNarrowVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kNarrowVectors; ++j) sum[i][j] = _mm256_setzero_ps();
  }
  const float* a[kRows];
  for (int i = 0; i < kRows; ++i) a[i] = static_cast<const float*>(call.a) + i * call.a_stride;
  const float* b = static_cast<const float*>(call.b);
  for (int64_t k = 0; k < call.depth; ++k, b += 8 * kNarrowVectors) {
    __m256 panel[kNarrowVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kNarrowVectors; ++j) panel[j] = _mm256_load_ps(b + 8 * j);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m256 value = _mm256_set1_ps(a[i][k]);
#pragma GCC unroll 2
      for (int j = 0; j < kNarrowVectors; ++j) sum[i][j] = _mm256_fmadd_ps(value, panel[j], sum[i][j]);
    }
  }
  const __m256 alpha = _mm256_set1_ps(call.alpha);
  for (int i = 0; i < kRows; ++i) {
    float* c = call.c + i * call.c_stride;
    for (int j = 0; j < kNarrowVectors; ++j) {
      __m256 value = _mm256_mul_ps(alpha, sum[i][j]);
      if (call.add) value = _mm256_add_ps(_mm256_loadu_ps(c + 8 * j), value);
      _mm256_storeu_ps(c + 8 * j, value);
    }
  }
}

template <int kVectors>
void DispatchBF16(const Call& call) {
  static constexpr decltype(&RunBF16<1, 1>) kByRows[] = {
      RunBF16<1, kVectors>, RunBF16<2, kVectors>, RunBF16<3, kVectors>, RunBF16<4, kVectors>,
      RunBF16<5, kVectors>, RunBF16<6, kVectors>, RunBF16<7, kVectors>, RunBF16<8, kVectors>};
  kByRows[call.rows - 1](call);
}

template <int kVectors>
void DispatchWideF32(const Call& call) {
  static constexpr decltype(&RunWideF32<1, 1>) kByRows[] = {
      RunWideF32<1, kVectors>, RunWideF32<2, kVectors>, RunWideF32<3, kVectors>, RunWideF32<4, kVectors>,
      RunWideF32<5, kVectors>, RunWideF32<6, kVectors>, RunWideF32<7, kVectors>, RunWideF32<8, kVectors>};
  kByRows[call.rows - 1](call);
}

void DispatchNarrowF32(const Call& call) {
  static constexpr decltype(&RunNarrowF32<1>) kByRows[] = {RunNarrowF32<1>, RunNarrowF32<2>, RunNarrowF32<3>,
                                                           RunNarrowF32<4>, RunNarrowF32<5>, RunNarrowF32<6>};
  kByRows[call.rows - 1](call);
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool HasAvx512BF16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16") != 0; }
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

constexpr MicroKernel kKernels[] = {
    {"avx512_bf16_8x48", DType::kBF16, 8, 48, HasAvx512BF16, DispatchBF16<3>},
    {"avx512_bf16_6x64", DType::kBF16, 6, 64, HasAvx512BF16, DispatchBF16<4>},
    {"avx512_f32_8x48", DType::kF32, 8, 48, HasAvx512, DispatchWideF32<3>},
    {"avx512_f32_6x64", DType::kF32, 6, 64, HasAvx512, DispatchWideF32<4>},
    {"avx2_f32_6x16", DType::kF32, kNarrowRows, 8 * kNarrowVectors, HasAvx2, DispatchNarrowF32},
};

}  // namespace

std::span<const MicroKernel> ArchMicroKernels() { return kKernels; }

}  // namespace modelslim
