#include "quant/moments/gptq_tile.h"

#include "quant/numbers/affine.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

// T: the weight's type; P: that of the parameters.
template <class T, class P>
MODELSLIM_INLINE void WalkColumns(const GptqTile& t, GptqCodes codes) {
  for (int64_t j = 0; j < t.count; ++j) {
    float* const w = t.w + j * kGptqLanes;
    const float* const s = t.scale + j * kGptqLanes;
    const float* const o = t.offset + j * kGptqLanes;
    const float pivot = t.u[j * t.count + j];
    float err[kGptqLanes];
#pragma omp simd
    for (int64_t i = 0; i < kGptqLanes; ++i) {
      const float q =
          ClampAndRound(FastRound<P>(FastRound<P>(w[i] / s[i]) + o[i]), codes.lowest, codes.highest) - kRoundingMagic;
      const float dq = FastRound<P>(FastRound<P>(q - o[i]) * s[i]);
      err[i] = FastRound<P>(FastRound<P>(w[i] - dq) / pivot);
      t.dq[j * kGptqLanes + i] = FastRound<T>(dq);
      t.err[j * kGptqLanes + i] = FastRound<T>(err[i]);
    }
    for (int64_t i = 0; i < kGptqLanes; ++i) t.loss[i] += 0.5 * static_cast<double>(err[i]) * err[i];
    for (int64_t k = j + 1; k < t.count; ++k) {
      const float factor = t.u[j * t.count + k];
      float* const later = t.w + k * kGptqLanes;
#pragma omp simd
      for (int64_t i = 0; i < kGptqLanes; ++i) later[i] = FastRound<T>(later[i] - FastRound<P>(err[i] * factor));
    }
  }
}

MODELSLIM_MULTIVERSION void WalkF32(const GptqTile& tile, GptqCodes codes) { WalkColumns<float, float>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkBF16(const GptqTile& tile, GptqCodes codes) { WalkColumns<BF16, BF16>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkF16(const GptqTile& tile, GptqCodes codes) { WalkColumns<F16, F16>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkBF16Grouped(const GptqTile& tile, GptqCodes codes) {
  WalkColumns<BF16, float>(tile, codes);
}
MODELSLIM_MULTIVERSION void WalkF16Grouped(const GptqTile& tile, GptqCodes codes) {
  WalkColumns<F16, float>(tile, codes);
}

template <class T>
MODELSLIM_INLINE void SubtractRounded(float* w, const float* p, int64_t count) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) w[c] = FastRound<T>(w[c] - FastRound<T>(p[c]));
}
MODELSLIM_MULTIVERSION void SubtractF32(float* w, const float* p, int64_t count) {
  SubtractRounded<float>(w, p, count);
}
MODELSLIM_MULTIVERSION void SubtractBF16(float* w, const float* p, int64_t count) {
  SubtractRounded<BF16>(w, p, count);
}
MODELSLIM_MULTIVERSION void SubtractF16(float* w, const float* p, int64_t count) { SubtractRounded<F16>(w, p, count); }

}  // namespace

void WalkGptqTile(const GptqTile& tile, GptqCodes codes, DType weight, DType params) {
  if (weight == DType::kF32) return WalkF32(tile, codes);
  if (params == DType::kF32) {
    return weight == DType::kBF16 ? WalkBF16Grouped(tile, codes) : WalkF16Grouped(tile, codes);
  }
  return weight == DType::kBF16 ? WalkBF16(tile, codes) : WalkF16(tile, codes);
}

MODELSLIM_MULTIVERSION void ToLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to) {
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * kGptqLanes + r] = from[r * stride + c];
  }
}
MODELSLIM_MULTIVERSION void FromLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < count; ++c) to[r * stride + c] = from[c * kGptqLanes + r];
  }
}

void SubtractRow(float* w, const float* p, int64_t count, DType dtype) {
  if (dtype == DType::kBF16) return SubtractBF16(w, p, count);
  if (dtype == DType::kF16) return SubtractF16(w, p, count);
  SubtractF32(w, p, count);
}

}  // namespace modelslim
