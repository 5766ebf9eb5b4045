#include "quant/rotation/rotation_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/multiversion.h"

namespace modelslim::rotation_kernels {
namespace {

// 16 lanes; the compiler splits them where registers are narrower. Unaligned loads, since rows start anywhere.
typedef float Lanes __attribute__((vector_size(64)));
typedef float LanesAnywhere __attribute__((vector_size(64), aligned(4), may_alias));
#define MODELSLIM_LANES(pointer) (*reinterpret_cast<LanesAnywhere*>(pointer))
#define MODELSLIM_CONST_LANES(pointer) (*reinterpret_cast<const LanesAnywhere*>(pointer))

constexpr int64_t kL1Floats = 4096;
constexpr int64_t kLargestMix = 256;

// Butterflies of distances 1, 2, 4, 8 inside a group of 16, those below m: the partner's lane plus our own, whose sign
// is negative in the upper half.
MODELSLIM_MULTIVERSION void SmallButterflies(float* x, int64_t total, int64_t m) {
  const Lanes sign1 = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
  const Lanes sign2 = {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1};
  const Lanes sign4 = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1};
  const Lanes sign8 = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
  for (int64_t i = 0; i < total; i += 16) {
    Lanes v = MODELSLIM_LANES(x + i);
    if (m > 1) v = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14) + v * sign1;
    if (m > 2) v = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13) + v * sign2;
    if (m > 4) v = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11) + v * sign4;
    if (m > 8) v = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7) + v * sign8;
    MODELSLIM_LANES(x + i) = v;
  }
}

// Butterflies of distances h, 2h, ..., below `end`, within aligned runs of `end` floats; h is a multiple of 16.
MODELSLIM_MULTIVERSION void WideButterflies(float* x, int64_t total, int64_t h, int64_t end) {
  for (; 4 * h <= end; h *= 4) {
    for (int64_t base = 0; base < total; base += 4 * h) {
      float* p = x + base;
      for (int64_t i = 0; i < h; i += 16, p += 16) {
        const Lanes a = MODELSLIM_LANES(p), b = MODELSLIM_LANES(p + h);
        const Lanes c = MODELSLIM_LANES(p + 2 * h), d = MODELSLIM_LANES(p + 3 * h);
        const Lanes ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
        MODELSLIM_LANES(p) = ab + cd;
        MODELSLIM_LANES(p + h) = a_b + c_d;
        MODELSLIM_LANES(p + 2 * h) = ab - cd;
        MODELSLIM_LANES(p + 3 * h) = a_b - c_d;
      }
    }
  }
  for (; h < end; h *= 2) {
    for (int64_t base = 0; base < total; base += 2 * h) {
      float* p = x + base;
      for (int64_t i = 0; i < h; i += 16, p += 16) {
        const Lanes a = MODELSLIM_LANES(p), b = MODELSLIM_LANES(p + h);
        MODELSLIM_LANES(p) = a + b;
        MODELSLIM_LANES(p + h) = a - b;
      }
    }
  }
}

void PlainButterflies(float* x, int64_t total, int64_t h, int64_t end) {
  for (; h < end; h *= 2) {
    for (int64_t base = 0; base < total; base += 2 * h) {
      for (int64_t i = base; i < base + h; ++i) {
        const float a = x[i], b = x[i + h];
        x[i] = a + b;
        x[i + h] = a - b;
      }
    }
  }
}

// kRows outputs of Mix over 16 columns, whose inputs are in `in` [k].
template <int kRows>
[[gnu::always_inline]] inline void MixTile(const Lanes* in, float* out, const float* t, int64_t k, int64_t inner) {
  Lanes sum[kRows] = {};
  for (int64_t a = 0; a < k; ++a) {
    const Lanes v = in[a];
    for (int r = 0; r < kRows; ++r) sum[r] += v * t[r * k + a];
  }
  for (int r = 0; r < kRows; ++r) MODELSLIM_LANES(out + r * inner) = sum[r];
}

// Sixteen columns are taken out first: rows often lie a power of two apart, where the caches hold only few of them.
MODELSLIM_MULTIVERSION void MixWide(float* x, const float* t, int64_t k, int64_t inner) {
  Lanes column[kLargestMix];
  for (int64_t b = 0; b < inner; b += 16) {
    for (int64_t a = 0; a < k; ++a) column[a] = MODELSLIM_CONST_LANES(x + a * inner + b);
    int64_t c = 0;
    for (; c + 8 <= k; c += 8) MixTile<8>(column, x + c * inner + b, t + c * k, k, inner);
    for (; c + 4 <= k; c += 4) MixTile<4>(column, x + c * inner + b, t + c * k, k, inner);
    for (; c < k; ++c) MixTile<1>(column, x + c * inner + b, t + c * k, k, inner);
  }
}

// One column at a time.
void MixNarrow(float* x, const float* t, int64_t k, int64_t inner) {
  thread_local std::vector<float> column;
  column.resize(k);
  for (int64_t b = 0; b < inner; ++b) {
    for (int64_t a = 0; a < k; ++a) column[a] = x[a * inner + b];
    for (int64_t c = 0; c < k; ++c) {
      float sum = 0;
      for (int64_t a = 0; a < k; ++a) sum += t[c * k + a] * column[a];
      x[c * inner + b] = sum;
    }
  }
}

}  // namespace

void WalshHadamard(float* x, int64_t total, int64_t m, int64_t unit) {
  const int64_t end = m * unit;
  if (total % 16 != 0 || (unit % 16 != 0 && unit != 1)) return PlainButterflies(x, total, unit, end);
  int64_t h = unit;
  if (unit == 1) {
    SmallButterflies(x, total, m);
    h = 16;
    if (m <= 16) return;
  }
  // The stages that fit into the first cache run piece by piece, the others over everything.
  int64_t piece = h;
  while (piece < end && piece * 2 <= kL1Floats) piece *= 2;
  if (piece > h) {
    for (int64_t base = 0; base < total; base += piece) WideButterflies(x + base, piece, h, piece);
  }
  if (piece < end) WideButterflies(x, total, piece, end);
}

void Mix(float* x, const float* t, int64_t k, int64_t inner) {
  if (inner % 16 == 0 && k <= kLargestMix) return MixWide(x, t, k, inner);
  MixNarrow(x, t, k, inner);
}

MODELSLIM_MULTIVERSION void ScaleUnits(float* x, const float* factors, int64_t count, int64_t unit) {
  if (unit == 1) {
    for (int64_t i = 0; i < count; ++i) x[i] *= factors[i];
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float factor = factors[i];
    for (int64_t b = 0; b < unit; ++b) x[i * unit + b] *= factor;
  }
}

void ToF32(const float* from, float* to, int64_t count) { std::memcpy(to, from, sizeof(float) * count); }
MODELSLIM_MULTIVERSION void ToF32(const BF16* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = modelslim::ToF32(from[i]);
}
MODELSLIM_MULTIVERSION void ToF32(const F16* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = modelslim::ToF32(from[i]);
}
void FromF32(const float* from, float* to, int64_t count) { std::memcpy(to, from, sizeof(float) * count); }
MODELSLIM_MULTIVERSION void FromF32(const float* from, BF16* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = ToBF16(from[i]);
}
MODELSLIM_MULTIVERSION void FromF32(const float* from, F16* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = ToF16(from[i]);
}

void RoundTo(DType dtype, float* x, int64_t count) {
  if (dtype == DType::kF32) return;
  WithModelDType(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < count; ++i) x[i] = modelslim::RoundTo<T>(x[i]);
  });
}

}  // namespace modelslim::rotation_kernels
