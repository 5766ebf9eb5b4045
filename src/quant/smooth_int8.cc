#include "quant/smooth_int8.h"

#include <cstring>

#include "base/error.h"
#include "quant/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
// GCC 12 takes the "undefined" operands inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#define MODELSLIM_VNNI 1
#endif

namespace modelslim::smooth_int8 {
namespace {

// Rows become columns of four bytes.
template <class Byte>
MODELSLIM_INLINE void Interleave(const float* q, int64_t rows, int64_t columns, int64_t quads, int64_t width,
                                 int offset, Byte* out) {
  const int64_t full = columns / 4;
  if (rows < width || full < quads) std::memset(out, 0, static_cast<size_t>(quads * width * 4));
  for (int64_t k = 0; k < full; ++k) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* const from = q + r * columns + 4 * k;
      Byte* const to = out + (k * width + r) * 4;
      for (int i = 0; i < 4; ++i) to[i] = static_cast<Byte>(static_cast<int>(from[i]) + offset);
    }
  }
  for (int64_t c = full * 4; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      out[(c / 4 * width + r) * 4 + c % 4] = static_cast<Byte>(static_cast<int>(q[r * columns + c]) + offset);
    }
  }
}

}  // namespace

MODELSLIM_MULTIVERSION void PackTile(const float* q, int64_t rows, int64_t columns, int64_t quads, int8_t* out) {
  Interleave(q, rows, columns, quads, kTileRows, 0, out);
}

MODELSLIM_MULTIVERSION void PackPanel(const float* q, int64_t rows, int64_t columns, int64_t quads, uint8_t* out) {
  Interleave(q, rows, columns, quads, kPanelRows, 128, out);
}

MODELSLIM_MULTIVERSION int32_t SumOfIntegers(const float* q, int64_t count) {
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < count; ++c) sum += static_cast<int32_t>(q[c]);
  return sum;
}

#ifdef MODELSLIM_VNNI

#define MODELSLIM_VNNI_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define MODELSLIM_VNNI_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"), always_inline)) inline

namespace {

MODELSLIM_VNNI_INLINE __m512 RoundBF16(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v),
                odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  return _mm512_castsi512_ps(_mm512_and_si512(sum, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

template <class T>
MODELSLIM_VNNI_INLINE __m512 Rounded(__m512 v) {
  if constexpr (DTypeOf<T>() == DType::kBF16) return RoundBF16(v);
  if constexpr (DTypeOf<T>() == DType::kF16) {
    return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  return v;
}

template <class T>
MODELSLIM_VNNI_INLINE __m512 Loaded(const T* p, __mmask16 mask) {
  if constexpr (DTypeOf<T>() == DType::kF32) return _mm512_maskz_loadu_ps(mask, p);
  if constexpr (DTypeOf<T>() == DType::kF16) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  if constexpr (DTypeOf<T>() == DType::kBF16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
  }
}

// The integers of a tile, offset included, into out [kTileRows][kPanelRows].
MODELSLIM_VNNI_TARGET void Multiply(const int8_t* a, const uint8_t* b, int64_t quads, int32_t* out) {
  __m512i sum[kTileRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
  for (int64_t k = 0; k < quads; ++k, a += 4 * kTileRows, b += 4 * kPanelRows) {
    const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
      int quad;
      std::memcpy(&quad, a + 4 * r, 4);
      const __m512i broadcast = _mm512_set1_epi32(quad);
      sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], b0, broadcast);
      sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], b1, broadcast);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) {
    _mm512_store_si512(out + r * kPanelRows, sum[r][0]);
    _mm512_store_si512(out + r * kPanelRows + 16, sum[r][1]);
  }
}

template <class T>
MODELSLIM_VNNI_TARGET double Tile(const TileOperands& o, const T* g, int64_t g_stride) {
  alignas(64) int32_t sums[kTileRows * kPanelRows];
  Multiply(o.a, o.b, o.quads, sums);
  __m512 errors = _mm512_setzero_ps();
  for (int64_t begin = 0; begin < o.columns; begin += 16) {
    const int64_t left = o.columns - begin;
    const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1u);
    const __m512 b_scale = _mm512_maskz_loadu_ps(mask, o.b_scale + begin);
    for (int64_t r = 0; r < o.rows; ++r) {
      // The weights carry an offset of 128, which adds 128 times the sum of the row's integers.
      const __m512i exact =
          _mm512_sub_epi32(_mm512_load_si512(sums + r * kPanelRows + begin), _mm512_set1_epi32(128 * o.a_sum[r]));
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(o.a_scale[r]), b_scale);
      const __m512 p = Rounded<T>(_mm512_mul_ps(_mm512_cvtepi32_ps(exact), scale));
      const __m512 e = Rounded<T>(_mm512_sub_ps(p, Loaded(g + r * g_stride + begin, mask)));
      errors = _mm512_mask_add_ps(errors, mask, errors, Rounded<T>(_mm512_mul_ps(e, e)));
    }
  }
  float lanes[16];
  _mm512_storeu_ps(lanes, errors);
  double total = 0;
  for (const float lane : lanes) total += lane;
  return total;
}

}  // namespace

bool Available() {
  static const bool available = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return available;
}

double TileError(const TileOperands& operands, const void* g, DType dtype, int64_t g_stride) {
  switch (dtype) {
    case DType::kBF16:
      return Tile(operands, static_cast<const BF16*>(g), g_stride);
    case DType::kF16:
      return Tile(operands, static_cast<const F16*>(g), g_stride);
    default:
      return Tile(operands, static_cast<const float*>(g), g_stride);
  }
}

#else

bool Available() { return false; }

double TileError(const TileOperands&, const void*, DType, int64_t) {
  MODELSLIM_CHECK(Available());
  return 0;
}

#endif

}  // namespace modelslim::smooth_int8
