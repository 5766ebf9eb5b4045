// ChannelStats and the weights' column maxima.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "quant/smoothing/smooth.h"
#include "quant/smoothing/smooth_columns.h"

namespace modelslim {
namespace {

constexpr int64_t kColumnsAtOnce = 256;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> WithNans(const std::vector<float>& values, const std::vector<float>& absmax) {
  std::vector<float> result = values;
  for (size_t c = 0; c < result.size(); ++c) {
    if (std::isnan(absmax[c])) result[c] = kNan;
  }
  return result;
}

float MaxOf(float a, float b) { return std::isnan(a) || a > b ? a : b; }

}  // namespace

void ChannelStats::Observe(const ConstView& x) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && !x.shape.empty());
  if (x.rows() == 0) return;
  const int64_t channels = x.cols();
  if (empty()) {
    dtype_ = x.dtype;
    min_.assign(channels, kInf);
    max_.assign(channels, -kInf);
    absmax_.assign(channels, 0.0f);
    abs_sum_.assign(channels, 0.0);
  }
  if (x.dtype != dtype_ || channels != this->channels()) {
    throw Error(ErrorCode::kUnexpected, "channel statistics of " + std::to_string(this->channels()) + " channels of " +
                                            std::string(DTypeName(dtype_)) + " were given activations " +
                                            ShapeText(x.shape) + " of " + std::string(DTypeName(x.dtype)));
  }
  ParallelRanges(channels, kColumnsAtOnce, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> bits(end);
    for (int64_t c = begin; c < end; ++c) bits[c] = std::bit_cast<int32_t>(absmax_[c]);
    smooth_columns::Update(x, begin, end, {min_.data(), max_.data(), bits.data(), abs_sum_.data()});
    for (int64_t c = begin; c < end; ++c) absmax_[c] = std::bit_cast<float>(bits[c]);
  });
  rows_ += x.rows();
}

void ChannelStats::Merge(const ChannelStats& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  if (other.dtype_ != dtype_ || other.channels() != channels()) {
    throw Error(ErrorCode::kUnexpected, "merging channel statistics of " + std::to_string(channels()) + " and " +
                                            std::to_string(other.channels()) + " channels, or of two types");
  }
  for (int64_t c = 0; c < channels(); ++c) {
    min_[c] = std::min(min_[c], other.min_[c]);
    max_[c] = std::max(max_[c], other.max_[c]);
    absmax_[c] = MaxOf(absmax_[c], other.absmax_[c]);
    abs_sum_[c] += other.abs_sum_[c];
  }
  rows_ += other.rows_;
}

Channels ChannelStats::Min() const { return {dtype_, WithNans(min_, absmax_)}; }
Channels ChannelStats::Max() const { return {dtype_, WithNans(max_, absmax_)}; }
Channels ChannelStats::AbsMax() const { return {dtype_, absmax_}; }

Channels ChannelStats::AbsMean(DType dtype) const {
  Channels mean{dtype, std::vector<float>(channels())};
  for (int64_t c = 0; c < channels(); ++c) {
    mean.values[c] = RoundTo(dtype, static_cast<float>(abs_sum_[c] / static_cast<double>(rows_)));
  }
  return mean;
}

Channels ChannelStats::Shift() const {
  Channels shift{dtype_, WithNans(max_, absmax_)};
  for (int64_t c = 0; c < channels(); ++c) {
    shift.values[c] = RoundTo(dtype_, RoundTo(dtype_, shift.values[c] + min_[c]) / 2.0f);
  }
  return shift;
}

// Rounding is monotone, so the farther of the two ends gives the largest rounded distance of all rows.
Channels ChannelStats::ShiftedAbsMax() const {
  Channels shift = Shift();
  for (int64_t c = 0; c < channels(); ++c) {
    const float above = std::fabs(RoundTo(dtype_, max_[c] - shift.values[c]));
    const float below = std::fabs(RoundTo(dtype_, min_[c] - shift.values[c]));
    shift.values[c] = MaxOf(above, below);
  }
  return shift;
}

ChannelStats::Arrays ChannelStats::Export() const { return {min_, max_, absmax_, abs_sum_, rows_, dtype_}; }

ChannelStats ChannelStats::Import(Arrays arrays) {
  MODELSLIM_CHECK(arrays.min.size() == arrays.max.size() && arrays.min.size() == arrays.absmax.size() &&
                  arrays.min.size() == arrays.abs_sum.size());
  ChannelStats stats;
  stats.dtype_ = arrays.dtype;
  stats.rows_ = arrays.rows;
  stats.min_ = std::move(arrays.min);
  stats.max_ = std::move(arrays.max);
  stats.absmax_ = std::move(arrays.absmax);
  stats.abs_sum_ = std::move(arrays.abs_sum);
  return stats;
}

Channels ColumnMax(std::span<const ConstView> weights, WeightStatistic statistic) {
  MODELSLIM_CHECK(!weights.empty());
  const int64_t cols = weights[0].cols();
  for (const ConstView& weight : weights) {
    if (weight.shape.size() != 2 || weight.cols() != cols || weight.dtype != weights[0].dtype ||
        !IsModelDType(weight.dtype)) {
      throw Error(ErrorCode::kMisuse, "column maxima: weights " + ShapeText(weights[0].shape) + " of " +
                                          std::string(DTypeName(weights[0].dtype)) + " and " + ShapeText(weight.shape) +
                                          " of " + std::string(DTypeName(weight.dtype)) +
                                          " do not share their input channels and their type");
    }
  }
  Channels result{weights[0].dtype, std::vector<float>(cols, -kInf)};
  ParallelRanges(cols, kColumnsAtOnce, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> bits(end, 0);
    for (const ConstView& weight : weights) {
      smooth_columns::UpdateMax(weight, begin, end, result.values.data(), bits.data());
    }
    for (int64_t c = begin; c < end; ++c) {
      const float absmax = std::bit_cast<float>(bits[c]);
      if (statistic == WeightStatistic::kAbsMax || std::isnan(absmax)) result.values[c] = absmax;
    }
  });
  return result;
}

}  // namespace modelslim
