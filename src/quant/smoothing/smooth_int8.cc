#include "quant/smoothing/smooth_int8.h"

#include <cstring>

#include "base/error.h"
#include "quant/numbers/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
// GCC 12 takes the "undefined" operands inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#define MODELSLIM_VNNI 1
#endif

namespace modelslim::smooth_int8 {
namespace {

// Rows become columns of four bytes. Flipping the highest bit adds 128.
template <int64_t kWidth, uint32_t kFlip, class Byte>
MODELSLIM_INLINE void Interleave(const ByteRows& from, int64_t quads, Byte* out) {
  const int64_t rows = from.rows, full = from.columns / 4;
  if (rows < kWidth || full < quads) std::memset(out, 0, static_cast<size_t>(quads * kWidth * 4));
  const auto quad = [&](int64_t r, int64_t k, int64_t bytes) {
    uint32_t word = 0, flip = 0;
    std::memcpy(&word, from.q + r * from.stride + 4 * k, static_cast<size_t>(bytes));
    std::memset(&flip, static_cast<int>(kFlip), static_cast<size_t>(bytes));
    word ^= flip;
    std::memcpy(out + (k * kWidth + r) * 4, &word, 4);
  };
  for (int64_t k = 0; k < full; ++k) {
    if (rows == kWidth) {
      for (int64_t r = 0; r < kWidth; ++r) quad(r, k, 4);
    } else {
      for (int64_t r = 0; r < rows; ++r) quad(r, k, 4);
    }
  }
  for (int64_t r = 0; r < rows && full < quads; ++r) quad(r, full, from.columns % 4);
}

}  // namespace

void PackTile(const ByteRows& from, int64_t quads, int8_t* out) { Interleave<kTileRows, 0>(from, quads, out); }

void PackPanel(const ByteRows& from, int64_t quads, uint8_t* out) { Interleave<kPanelRows, 0x80>(from, quads, out); }

MODELSLIM_MULTIVERSION int32_t ToBytes(const float* q, int64_t count, int8_t* out) {
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < count; ++c) {
    const auto value = static_cast<int32_t>(q[c]);
    sum += value;
    out[c] = static_cast<int8_t>(value);
  }
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
  // A line of every row of g, each on a page of its own, which no hardware guesses: there when the sums are.
  for (int64_t r = 0; r < o.rows; ++r) __builtin_prefetch(g + r * g_stride);
  for (int64_t r = 0; r < o.rows; ++r) __builtin_prefetch(g + r * g_stride + o.columns - 1);
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
