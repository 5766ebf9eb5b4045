#include "quant/smoothing/awq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/parallel.h"
#include "ops/reduce.h"
#include "quant/smoothing/smooth_apply.h"

namespace modelslim {

Channels AwqScale(const Channels& mean, double ratio) {
  constexpr float kFloor = 1e-4f;
  const DType dtype = mean.dtype;
  Channels scale = Power(mean, ratio);
  float max = -std::numeric_limits<float>::infinity(), min = std::numeric_limits<float>::infinity();
  for (float& s : scale.values) {
    s = RoundTo(dtype, s < kFloor ? kFloor : s);
    max = std::isnan(max) || max > s ? max : s;  // NaN spreads, as in the reference: every scale becomes 1
    min = std::isnan(min) || min < s ? min : s;
  }
  const float middle = RoundTo(dtype, std::sqrt(RoundTo(dtype, max * min)));
  for (float& s : scale.values) {
    s = RoundTo(dtype, s / middle);
    if (!std::isfinite(s)) s = 1.0f;
  }
  return scale;
}

void RunningAbsMean::Observe(const ConstView& x) {
  const int64_t tokens = x.rows(), channels = x.cols();
  if (tokens == 0) return;
  MODELSLIM_CHECK(tokens_ == 0 || (x.dtype == mean_.dtype && channels == mean_.size()));
  Tensor sample(DType::kF32, {channels});
  ColumnMeanAbs(x, sample.view());
  const auto round = [dtype = x.dtype](float value) { return RoundTo(dtype, value); };
  if (tokens_ == 0) mean_ = {x.dtype, std::vector<float>(static_cast<size_t>(channels))};
  const auto before = static_cast<float>(tokens_), here = static_cast<float>(tokens),
             total = static_cast<float>(tokens_ + tokens);
  for (int64_t c = 0; c < channels; ++c) {
    const float current = round(sample.as<float>()[c]);
    mean_.values[c] =
        tokens_ == 0 ? current : round(round(round(mean_.values[c] * before) + round(current * here)) / total);
  }
  tokens_ += tokens;
}

Tensor AwqTrialWeight(const ConstView& weight, const Channels& scale, const FakeQuantWeight& quantize) {
  Tensor scaled = Tensor::Copy(weight);
  ScaleColumns(scaled.view(), scale);
  const Tensor rounded = quantize(scaled.view());
  MODELSLIM_CHECK(rounded.size() == scaled.size() && IsModelDType(rounded.dtype()));
  const int64_t cols = weight.cols();
  WithModelDType(weight.dtype, [&](auto tag) {
    using T = decltype(tag);
    WithModelDType(rounded.dtype(), [&](auto rounded_tag) {
      using R = decltype(rounded_tag);
      T* const to = scaled.as<T>();
      const R* const from = rounded.as<R>();
      ParallelRanges(weight.rows(), 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin * cols; i < end * cols; ++i) {
          to[i] = From<T>(ToF32(from[i]) / scale.values[i % cols]);
        }
      });
    });
  });
  return scaled;
}

AwqSearchResult AwqSearch(const Channels& mean, int n_grid, const std::function<double(const Channels&)>& loss) {
  if (n_grid < 1) throw Error(ErrorCode::kSchema, "awq: n_grid is " + std::to_string(n_grid) + ", expected at least 1");
  AwqSearchResult best;
  best.loss = std::numeric_limits<double>::infinity();
  for (int g = 0; g < n_grid; ++g) {
    const double ratio = static_cast<double>(g) / n_grid;
    Channels scale = AwqScale(mean, ratio);
    best.losses.push_back(loss(scale));
    if (!(best.losses.back() < best.loss)) continue;
    best.loss = best.losses.back();
    best.ratio = ratio;
    best.scale = std::move(scale);
  }
  if (std::isinf(best.loss)) {
    throw Error(ErrorCode::kUnexpected, "awq: none of " + std::to_string(n_grid) + " scales gave a finite loss",
                "look for NaN or infinity in the weights and in the calibration activations");
  }
  return best;
}

}  // namespace modelslim
