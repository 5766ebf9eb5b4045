// The quantizers once more, element by element and as the behaviour is written down, to compare the fast ones with.
// Nothing here shares code with src/quant.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tensor/fp8.h"
#include "tensor/tensor.h"

namespace modelslim::reference {

inline float NanMin(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }
inline float NanMax(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }

struct Params {
  float scale, offset;
};

inline Params ParamsOf(float mn, float mx, DType d, int bits, bool symmetric) {
  mn = NanMin(mn, 0.0f), mx = NanMax(mx, 0.0f);
  const float eps = RoundTo(d, 0x1p-23f);
  if (symmetric) {
    const float bound = bits == 8 ? 127.0f : 7.0f;
    return {NanMax(RoundTo(d, NanMax(-mn, mx) / bound), eps), 0.0f};
  }
  const float bound = bits == 8 ? 255.0f : 15.0f;
  const float s = NanMax(RoundTo(d, RoundTo(d, mx / bound) - RoundTo(d, mn / bound)), eps);
  const float o = std::nearbyint(RoundTo(d, -mn / s));
  return {s, RoundTo(d, o - (bits == 8 ? 128.0f : 8.0f))};
}

inline int QuantizeOne(float x, Params p, DType promoted, int bits) {
  const float t = std::nearbyint(RoundTo(promoted, RoundTo(promoted, x / p.scale) + p.offset));
  if (std::isnan(t)) return 0;
  const float top = bits == 8 ? 127.0f : 7.0f;
  return static_cast<int>(std::clamp(t, -top - 1.0f, top));
}

inline float DequantizeOne(int q, Params p, DType e) {
  return RoundTo(e, RoundTo(e, static_cast<float>(q) - p.offset) * p.scale);
}

inline float Fp8Scale(float amax, DType d) { return RoundTo(d, NanMax(amax, RoundTo(d, 1e-12f)) / 448.0f); }
inline float Fp8Value(float x, float s, DType promoted) {
  const float t = RoundTo(promoted, RoundTo(promoted, x / s) + 0.0f);
  return std::isnan(t) ? t : std::clamp(t, -448.0f, 448.0f);
}

inline float Log2(float v, DType d) { return RoundTo(d, static_cast<float>(std::log2(static_cast<double>(v)))); }

// Exponent of the minmax rules as a float: NaN when there is none.
inline float MxExponent(float amax, DType d, bool fp4, bool old) {
  if (fp4 && !old) {
    const float v = RoundTo(d, RoundTo(d, amax / 0.875f) + RoundTo(d, 9.6e-7f));
    const float e = std::floor(Log2(v, d)) - 2.0f;
    return std::isnan(e) ? e : std::clamp(e, -129.0f, 125.0f);
  }
  const float e = std::floor(Log2(amax == 0.0f ? RoundTo(d, 0x1p-126f) : amax, d)) - (fp4 ? 2.0f : 8.0f);
  if (std::isnan(e) || e > 127.0f) return NAN;
  return std::max(e, -127.0f);
}

// An element on its grid, before the shared exponent is put back.
inline float MxElement(float w, float exponent, bool fp4, bool old) {
  const float x = w == 0.0f ? 0.0f : w / std::ldexp(1.0f, static_cast<int>(exponent)), y = std::fabs(x);
  const float sign = x < 0.0f ? -1.0f : 1.0f;
  if (fp4 && !old) {
    if (exponent < -127.0f) return 0.0f;
    const float p = std::clamp(std::floor(Log2(y + 9.6e-7f, DType::kF32)), 0.0f, 2.0f);
    const float m = std::floor(y / std::exp2(p) * 2.0f + 0.5f) / 2.0f * std::exp2(p);
    return sign * std::min(m, 6.0f);
  }
  const float p = std::max(std::floor(Log2(y + (y == 0.0f ? 1.0f : 0.0f), DType::kF32)), fp4 ? 0.0f : -6.0f);
  const float k = fp4 ? 2.0f : 8.0f;
  const float v = std::floor(y / std::exp2(p) * k + 0.5f) / k * std::exp2(p);
  return sign * std::min(v, fp4 ? 6.0f : 448.0f);
}

inline std::vector<float> Floats(const ConstView& x) {
  std::vector<float> values(x.size());
  for (int64_t i = 0; i < x.size(); ++i) values[i] = ElementAsF32(x, i);
  return values;
}

// A tensor of the given values, rounded to dtype.
inline Tensor Make(DType dtype, Shape shape, const std::vector<float>& values) {
  Tensor tensor(dtype, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kBF16)
      tensor.as<BF16>()[i] = ToBF16(values[i]);
    else if (dtype == DType::kF16)
      tensor.as<F16>()[i] = ToF16(values[i]);
    else
      tensor.as<float>()[i] = values[i];
  }
  return tensor;
}

// Normal numbers of spread `deviation`, one in 50 twenty times larger, one in 50 zero.
inline Tensor Random(DType dtype, Shape shape, uint32_t seed, float deviation = 0.05f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(NumElements(shape));
  for (float& value : values) {
    const uint64_t kind = engine() % 50;
    value = kind == 0 ? 0.0f : normal(engine) * (kind == 1 ? 20.0f : 1.0f);
  }
  return Make(dtype, std::move(shape), values);
}

inline bool SameBits(const ConstView& a, const ConstView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

}  // namespace modelslim::reference
