#include "quant/smoothing/smooth_kv.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "quant/smoothing/smooth_apply.h"

namespace modelslim {
namespace {

// Pairs (j, j + d/2) of every head share their maximum, raised to the factor.
Channels PairScale(const Channels& absmax, int64_t heads, const KvSmoothOptions& options) {
  const int64_t d = heads > 0 ? absmax.size() / heads : 0;
  if (heads < 1 || d * heads != absmax.size() || d % 2 != 0 || d == 0) {
    throw Error(ErrorCode::kMisuse, "kv_smooth: " + std::to_string(absmax.size()) + " key channels are not " +
                                        std::to_string(heads) + " heads of an even size");
  }
  if (!(options.smooth_factor > 0)) {
    throw Error(ErrorCode::kSchema,
                "kv_smooth: smooth_factor is " + std::to_string(options.smooth_factor) + ", expected more than 0");
  }
  Channels pairs = absmax;
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t j = 0; j < d / 2; ++j) {
      float& low = pairs.values[h * d + j];
      float& high = pairs.values[h * d + j + d / 2];
      low = high = std::isnan(low) || low > high ? low : high;
    }
  }
  Channels scale = Power(pairs, options.smooth_factor);
  for (size_t c = 0; c < scale.values.size(); ++c) {
    if (pairs.values[c] < options.min_magnitude) scale.values[c] = 1.0f;
  }
  return scale;
}

void DivideRows(const View& w, const Channels& scale) {
  const int64_t cols = w.shape.size() == 1 ? 1 : w.cols();
  WithModelDType(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const data = w.as<T>();
    for (int64_t r = 0; r < scale.size(); ++r) {
      for (int64_t c = 0; c < cols; ++c) data[r * cols + c] = From<T>(ToF32(data[r * cols + c]) / scale.values[r]);
    }
  });
}

void CheckRows(const LinearParams& linear, int64_t rows, const char* role) {
  if (linear.weight.shape.size() != 2 || linear.weight.rows() != rows ||
      (linear.bias.data != nullptr && linear.bias.size() != rows)) {
    throw Error(ErrorCode::kMisuse, std::string("kv_smooth: ") + role + " has weight " +
                                        ShapeText(linear.weight.shape) + ", expected " + std::to_string(rows) +
                                        " rows (and a bias of as many, or none)");
  }
}

}  // namespace

Channels KvSmoothScale(const Channels& key_absmax, const HeadLayout& layout, const KvSmoothOptions& options) {
  return PairScale(key_absmax, layout.kv_heads, options);
}

void ApplyKvSmoothLinear(const LinearParams& query, const LinearParams& key, const Channels& scale,
                         const HeadLayout& layout) {
  const int64_t d = layout.kv_heads > 0 ? scale.size() / layout.kv_heads : 0;
  CheckHeadLayout(layout, layout.heads * d, "kv_smooth");
  CheckRows(key, layout.kv_heads * d, "the key projection");
  CheckRows(query, layout.heads * d, "the query projection");
  const Channels query_scale = ExpandHeads(scale, layout);
  DivideRows(key.weight, scale);
  ScaleRows(query.weight, query_scale);
  if (key.bias.data != nullptr) DivideRows(key.bias, scale);
  if (query.bias.data != nullptr) ScaleRows({query.bias.data, query.bias.dtype, {query.bias.size()}}, query_scale);
}

Channels KvSmoothNormScale(const Channels& key_absmax, int64_t kv_heads, const KvSmoothOptions& options) {
  if (kv_heads < 1 || key_absmax.size() % kv_heads != 0) return PairScale(key_absmax, kv_heads, options);  // refuses
  return PairScale(ReduceHeadsMax(key_absmax, {.heads = kv_heads, .kv_heads = 1}), 1, options);
}

void ApplyKvSmoothNorm(const View& query_norm, const View& key_norm, const Channels& scale) {
  if (query_norm.size() != scale.size() || key_norm.size() != scale.size()) {
    throw Error(ErrorCode::kMisuse, "kv_smooth: norms " + ShapeText(query_norm.shape) + " and " +
                                        ShapeText(key_norm.shape) + " beside a scale of " +
                                        std::to_string(scale.size()));
  }
  DivideRows({key_norm.data, key_norm.dtype, {key_norm.size()}}, scale);
  ScaleRows({query_norm.data, query_norm.dtype, {query_norm.size()}}, scale);
}

}  // namespace modelslim
