#include "app/analysis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ops/reduce.h"

namespace modelslim {
namespace {

constexpr int64_t kStep = 100, kFirst = kStep / 2;
constexpr double kInt8Steps = 254, kQuantileEpsilon = 1e-10;
constexpr std::array<std::string_view, 3> kNames{"std", "quantile", "kurtosis"};

// Calls body(values, cols) for every row, widened to f32.
template <class Body>
void ForEachRow(const ConstView& x, Body body) {
  Tensor wide(DType::kF32, {1, x.cols()});
  for (int64_t row = 0; row < x.rows(); ++row) {
    const ConstView values = x.Rows(row, row + 1);
    if (x.dtype == DType::kF32) {
      body(values.as<float>(), x.cols());
    } else {
      Convert(values, wide.view());
      body(wide.as<float>(), x.cols());
    }
  }
}

// Sums in lanes: fast, and in an order that no compiler or processor changes.
class LaneSum {
 public:
  void Add(int64_t index, double value) { lanes_[static_cast<size_t>(index) % lanes_.size()] += value; }
  double Total() const {
    double total = 0;
    for (const double lane : lanes_) total += lane;
    return total;
  }

 private:
  std::array<double, 8> lanes_{};
};

double ShiftedDeviation(const ConstView& x) {
  const int64_t count = x.size();
  if (count < 2) return 0;
  Tensor middle(DType::kF32, {x.cols()}), high(DType::kF32, {x.cols()});
  ColumnMinMax(x, middle.view(), high.view());
  for (int64_t c = 0; c < x.cols(); ++c) middle.as<float>()[c] = (high.as<float>()[c] + middle.as<float>()[c]) / 2;
  const float* shift = middle.as<float>();
  LaneSum sum;
  ForEachRow(x, [&](const float* row, int64_t cols) {
    for (int64_t c = 0; c < cols; ++c) sum.Add(c, row[c] - shift[c]);
  });
  const double mean = sum.Total() / static_cast<double>(count);
  LaneSum squares;
  ForEachRow(x, [&](const float* row, int64_t cols) {
    for (int64_t c = 0; c < cols; ++c) {
      const double distance = static_cast<double>(row[c] - shift[c]) - mean;
      squares.Add(c, distance * distance);
    }
  });
  return std::sqrt(squares.Total() / static_cast<double>(count - 1));
}

// A 16-bit float has so few values that counting them sorts them.
std::vector<float> SampledByCounting(const ConstView& x) {
  std::vector<int64_t> counts(size_t{1} << 16);
  const auto* bits = x.as<uint16_t>();
  for (int64_t i = 0; i < x.size(); ++i) ++counts[bits[i]];
  std::vector<float> sampled;
  int64_t seen = 0, next = kFirst;
  const auto take = [&](uint32_t code) {
    const auto value = static_cast<uint16_t>(code);
    seen += counts[value];
    for (; next < seen; next += kStep) sampled.push_back(ElementAsF32({&value, x.dtype, {1}}, 0));
  };
  for (uint32_t code = 0xffff; code >= 0x8000; --code) take(code);  // negative: the largest magnitude comes first
  for (uint32_t code = 0; code < 0x8000; ++code) take(code);
  return sampled;
}

std::vector<float> SampledBySorting(const ConstView& x) {
  std::vector<float> sorted(x.as<float>(), x.as<float>() + x.size());
  std::sort(sorted.begin(), sorted.end());
  std::vector<float> sampled;
  for (int64_t i = kFirst; i < x.size(); i += kStep) sampled.push_back(sorted[static_cast<size_t>(i)]);
  return sampled;
}

double StdScore(std::span<const std::shared_ptr<const InputSummary>> samples) {
  double abs_max = 0, deviation = 0;
  for (const auto& sample : samples) {
    abs_max = std::max(abs_max, static_cast<double>(sample->abs_max));
    deviation = std::max(deviation, sample->deviation);
  }
  if (deviation > 0) return abs_max / deviation;
  return abs_max > 0 ? std::numeric_limits<double>::infinity() : 0;
}

double QuantileScore(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  const size_t quarter = values.size() / 4;
  const double spread = static_cast<double>(values[3 * quarter]) - static_cast<double>(values[quarter]);
  const double abs_max = std::max(std::abs(values.front()), std::abs(values.back()));
  return 2 * abs_max / kInt8Steps / (spread + kQuantileEpsilon);
}

double KurtosisScore(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0, variance = 0, fourth = 0;
  for (const float value : values) mean += value;
  mean /= count;
  for (const float value : values) variance += (value - mean) * (value - mean);
  variance /= count;
  if (variance == 0) return -3;
  for (const float value : values) {
    const double square = (value - mean) * (value - mean) / variance;
    fourth += square * square;
  }
  return fourth / count - 3;
}

}  // namespace

std::string_view AnalysisMetricName(AnalysisMetric metric) { return kNames[static_cast<size_t>(metric)]; }

std::optional<AnalysisMetric> ParseAnalysisMetric(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<AnalysisMetric>(i);
  }
  return std::nullopt;
}

InputSummary SummarizeInput(AnalysisMetric metric, const ConstView& x) {
  InputSummary summary;
  const Range range = MinMax(x);
  summary.abs_max = std::max(std::abs(range.min), std::abs(range.max));
  if (std::isnan(range.min) || std::isnan(range.max)) {
    summary.abs_max = std::numeric_limits<float>::quiet_NaN();
  } else if (metric == AnalysisMetric::kStd) {
    summary.deviation = ShiftedDeviation(x);
  } else {
    summary.sampled = x.dtype == DType::kF32 ? SampledBySorting(x) : SampledByCounting(x);
  }
  return summary;
}

std::optional<double> ScoreInput(AnalysisMetric metric, std::span<const std::shared_ptr<const InputSummary>> samples) {
  if (samples.empty()) return std::nullopt;
  for (const auto& sample : samples) {
    if (std::isnan(sample->abs_max)) return std::numeric_limits<double>::quiet_NaN();
  }
  if (metric == AnalysisMetric::kStd) return StdScore(samples);
  std::vector<float> values;
  for (const auto& sample : samples) values.insert(values.end(), sample->sampled.begin(), sample->sampled.end());
  if (values.empty()) return std::nullopt;
  return metric == AnalysisMetric::kQuantile ? QuantileScore(std::move(values)) : KurtosisScore(values);
}

}  // namespace modelslim
