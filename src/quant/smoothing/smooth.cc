#include "quant/smoothing/smooth.h"

#include <algorithm>
#include <cmath>

namespace modelslim {
namespace {

constexpr float kFloor = 1e-5f;

// As torch's clamp: NaN stays.
float AtLeast(float value, float floor) { return value < floor ? floor : value; }

void CheckEqualSizes(const Channels& a, const Channels& b) {
  if (a.size() != b.size()) {
    throw Error(ErrorCode::kMisuse, "smoothing: statistics of " + std::to_string(a.size()) +
                                        " activation channels beside " + std::to_string(b.size()) + " weight columns");
  }
}

}  // namespace

Channels ClampWeightStatistic(Channels w) {
  for (float& v : w.values) v = RoundTo(w.dtype, AtLeast(v, kFloor));
  return w;
}

Channels Power(const Channels& v, double exponent) {
  const double rounded = RoundTo(v.dtype, static_cast<float>(exponent));
  Channels result{v.dtype, std::vector<float>(v.values.size())};
  for (size_t c = 0; c < v.values.size(); ++c) {
    result.values[c] = RoundTo(v.dtype, static_cast<float>(std::pow(static_cast<double>(v.values[c]), rounded)));
  }
  return result;
}

Channels SmoothScale(const Channels& a, const Channels& w, double alpha, double beta, float floor, DType stored) {
  CheckEqualSizes(a, w);
  const Channels top = Power(a, alpha), bottom = Power(w, beta);
  const DType wide = Promote(a.dtype, w.dtype);
  Channels scale{stored, std::vector<float>(a.values.size())};
  for (size_t c = 0; c < a.values.size(); ++c) {
    const float quotient = RoundTo(wide, top.values[c] / bottom.values[c]);
    scale.values[c] = RoundTo(stored, AtLeast(quotient, floor));
  }
  return scale;
}

Channels IterSmoothScale(const Channels& a, const Channels& w, double alpha, float floor) {
  return SmoothScale(a, w, alpha, 1.0 - alpha, floor, w.dtype);
}

Channels FlexSmoothScale(const Channels& a, const Channels& w, double alpha, double beta) {
  return SmoothScale(a, w, alpha, beta, kFloor, a.dtype);
}

Channels FlexAwqScale(const Channels& mean, double alpha) {
  Channels scale = Power(mean, alpha);
  for (float& s : scale.values) s = RoundTo(mean.dtype, AtLeast(s, kFloor));
  return scale;
}

void CheckHeadLayout(const HeadLayout& layout, int64_t channels, const std::string& what) {
  if (layout.heads < 1 || layout.kv_heads < 1 || layout.heads % layout.kv_heads != 0 || channels % layout.heads != 0) {
    throw Error(ErrorCode::kMisuse, what + ": " + std::to_string(layout.heads) + " heads, " +
                                        std::to_string(layout.kv_heads) + " key/value heads and " +
                                        std::to_string(channels) +
                                        " channels do not fit; expected heads to be a multiple of key/value heads, "
                                        "and channels of heads");
  }
}

namespace {

// Calls reduce(values of the query heads that share a key/value head at one channel) for each of kv_heads * d.
template <class Reduce>
Channels OverHeads(const Channels& v, const HeadLayout& layout, const Reduce& reduce) {
  CheckHeadLayout(layout, v.size(), "ov smoothing");
  const int64_t d = v.size() / layout.heads, group = layout.heads / layout.kv_heads;
  Channels result{v.dtype, std::vector<float>(layout.kv_heads * d)};
  for (int64_t k = 0; k < layout.kv_heads; ++k) {
    for (int64_t c = 0; c < d; ++c) result.values[k * d + c] = reduce(&v.values[k * group * d + c], group, d);
  }
  return result;
}

}  // namespace

OvScale ReduceOvMean(const Channels& scale, const HeadLayout& layout) {
  OvScale result;
  result.value = OverHeads(scale, layout, [&](const float* first, int64_t group, int64_t stride) {
    float sum = 0;
    for (int64_t g = 0; g < group; ++g) sum += first[g * stride];
    return RoundTo(scale.dtype, sum / static_cast<float>(group));
  });
  result.output = ExpandHeads(result.value, layout);
  return result;
}

Channels ReduceHeadsMax(const Channels& statistic, const HeadLayout& layout) {
  return OverHeads(statistic, layout, [](const float* first, int64_t group, int64_t stride) {
    float max = first[0];
    for (int64_t g = 1; g < group; ++g) {
      const float v = first[g * stride];
      max = std::isnan(max) || max > v ? max : v;
    }
    return max;
  });
}

Channels ExpandHeads(const Channels& value, const HeadLayout& layout) {
  const int64_t group = layout.heads / layout.kv_heads, d = value.size() / layout.kv_heads;
  Channels result{value.dtype, {}};
  result.values.reserve(layout.heads * d);
  for (int64_t h = 0; h < layout.heads; ++h) {
    const auto begin = value.values.begin() + h / group * d;
    result.values.insert(result.values.end(), begin, begin + d);
  }
  return result;
}

OvScale FlexOvScale(const Channels& a, const Channels& w, double alpha, double beta, const HeadLayout& layout) {
  OvScale result;
  result.value = SmoothScale(ReduceHeadsMax(a, layout), ReduceHeadsMax(w, layout), alpha, beta, kFloor, w.dtype);
  result.output = ExpandHeads(result.value, layout);
  return result;
}

}  // namespace modelslim
