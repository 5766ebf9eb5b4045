#include "app/analysis.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace modelslim {
namespace {

using Summaries = std::vector<std::shared_ptr<const InputSummary>>;

Tensor Matrix(int64_t rows, int64_t cols, const std::vector<float>& values) {
  Tensor tensor(DType::kF32, {rows, cols});
  std::copy(values.begin(), values.end(), tensor.as<float>());
  return tensor;
}

std::optional<double> Score(AnalysisMetric metric, const std::vector<Tensor>& samples) {
  Summaries summaries;
  for (const Tensor& sample : samples) {
    summaries.push_back(std::make_shared<InputSummary>(SummarizeInput(metric, sample.view())));
  }
  return ScoreInput(metric, summaries);
}

// 0, 1, 2, ... in a scrambled order.
std::vector<float> Scrambled(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  std::shuffle(values.begin(), values.end(), std::mt19937(7));
  return values;
}

TEST(Analysis, Names) {
  for (const auto metric : {AnalysisMetric::kStd, AnalysisMetric::kQuantile, AnalysisMetric::kKurtosis}) {
    EXPECT_EQ(ParseAnalysisMetric(AnalysisMetricName(metric)), metric);
  }
  EXPECT_EQ(ParseAnalysisMetric("Kurtosis"), std::nullopt);
}

TEST(Analysis, StdTakesTheDeviationFromTheMiddleOfEachChannel) {
  // Channels 0..6 and 100..100: middles 3 and 100, so -3, 0, -1, 0, 3, 0 remain: mean -1/6, squares 19 - 1/6, by 5.
  const double first = std::sqrt((19 - 1.0 / 6) / 5);
  std::vector<Tensor> samples;
  samples.push_back(Matrix(3, 2, {0, 100, 2, 100, 6, 100}));
  EXPECT_NEAR(*Score(AnalysisMetric::kStd, samples), 100 / first, 1e-9);
  // A sample of smaller deviation and larger magnitude: the largest of each counts.
  samples.push_back(Matrix(2, 2, {-250, 1, -251, 1}));
  EXPECT_NEAR(*Score(AnalysisMetric::kStd, samples), 251 / first, 1e-9);
  std::swap(samples[0], samples[1]);
  EXPECT_NEAR(*Score(AnalysisMetric::kStd, samples), 251 / first, 1e-9);
}

TEST(Analysis, StdWithoutDeviation) {
  std::vector<Tensor> zero, constant;
  zero.push_back(Matrix(2, 2, {0, 0, 0, 0}));
  constant.push_back(Matrix(1, 2, {1, 3}));
  EXPECT_EQ(Score(AnalysisMetric::kStd, zero), 0);
  EXPECT_EQ(Score(AnalysisMetric::kStd, constant), std::numeric_limits<double>::infinity());
}

TEST(Analysis, SamplesEveryHundredthInOrder) {
  for (const int64_t count : {1, 50, 51, 150, 151, 1000}) {
    const Tensor x = Matrix(1, count, Scrambled(count));
    std::vector<float> expected;
    for (int64_t i = 50; i < count; i += 100) expected.push_back(static_cast<float>(i));
    EXPECT_EQ(SummarizeInput(AnalysisMetric::kQuantile, x.view()).sampled, expected) << count;
  }
}

TEST(Analysis, CountingSortsAsSortingDoes) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 3);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Tensor x(DType::kF32, {37, 91});
    for (int64_t i = 0; i < x.size(); ++i) x.as<float>()[i] = i % 9 == 0 ? -0.0f : normal(random);
    const Tensor narrow = ConvertTo(x.view(), dtype);
    const Tensor wide = ConvertTo(narrow.view(), DType::kF32);
    const InputSummary counted = SummarizeInput(AnalysisMetric::kKurtosis, narrow.view());
    const InputSummary sorted = SummarizeInput(AnalysisMetric::kKurtosis, wide.view());
    EXPECT_EQ(counted.sampled, sorted.sampled);
    EXPECT_EQ(counted.abs_max, sorted.abs_max);
    EXPECT_EQ(SummarizeInput(AnalysisMetric::kStd, narrow.view()).deviation,
              SummarizeInput(AnalysisMetric::kStd, wide.view()).deviation);
  }
}

TEST(Analysis, QuantileTakesQuartersOfAllSampledValues) {
  // 50, 150, ..., 650 (7 values) and 50, 150, 250: in order 50 50 150 150 250 250 350 450 550 650. Ten values: number 2
  // is 150 and number 6, three times two, is 350.
  std::vector<Tensor> samples;
  samples.push_back(Matrix(7, 100, Scrambled(700)));
  samples.push_back(Matrix(3, 100, Scrambled(300)));
  EXPECT_NEAR(*Score(AnalysisMetric::kQuantile, samples), 2 * 650.0 / 254 / 200, 1e-12);
}

TEST(Analysis, KurtosisOfAllSampledValues) {
  // 50, 150, 250, 350: z^4 of four even steps is 1.8^2 and 0.2^2 twice, so 1.64 in the mean.
  std::vector<Tensor> samples;
  samples.push_back(Matrix(4, 100, Scrambled(400)));
  EXPECT_NEAR(*Score(AnalysisMetric::kKurtosis, samples), 1.64 - 3, 1e-12);
  samples.push_back(Matrix(4, 100, Scrambled(400)));
  EXPECT_NEAR(*Score(AnalysisMetric::kKurtosis, samples), 1.64 - 3, 1e-12);
  samples.clear();
  samples.push_back(Matrix(2, 100, std::vector<float>(200, 5)));
  EXPECT_EQ(Score(AnalysisMetric::kKurtosis, samples), -3);
}

TEST(Analysis, NothingToTellBy) {
  for (const auto metric : {AnalysisMetric::kStd, AnalysisMetric::kQuantile, AnalysisMetric::kKurtosis}) {
    EXPECT_EQ(ScoreInput(metric, {}), std::nullopt);
  }
  std::vector<Tensor> small;
  small.push_back(Matrix(1, 50, Scrambled(50)));
  EXPECT_EQ(Score(AnalysisMetric::kQuantile, small), std::nullopt);
  EXPECT_EQ(Score(AnalysisMetric::kKurtosis, small), std::nullopt);
}

TEST(Analysis, NanIsTold) {
  for (const auto metric : {AnalysisMetric::kStd, AnalysisMetric::kQuantile, AnalysisMetric::kKurtosis}) {
    std::vector<Tensor> samples;
    samples.push_back(Matrix(2, 100, Scrambled(200)));
    samples.push_back(Matrix(2, 100, Scrambled(200)));
    samples.back().as<float>()[150] = std::nanf("");
    EXPECT_TRUE(std::isnan(*Score(metric, samples))) << AnalysisMetricName(metric);
  }
}

}  // namespace
}  // namespace modelslim
