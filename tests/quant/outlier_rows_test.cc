// The sparse modes of modelslim_v0 against their definitions, written down plainly.
#include "quant/weights/outlier_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "base/parallel.h"

namespace modelslim {
namespace {

// A matrix with outliers, of any model type; values() are what the type made of them.
struct Matrix {
  Matrix(int64_t rows, int64_t cols, DType dtype, unsigned seed) : weight(DType::kF32, {rows, cols}) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < weight.size(); ++i)
      weight.as<float>()[i] = normal(random) * (random() % 60 == 0 ? 9.0f : 1.0f);
    weight = ConvertTo(std::as_const(weight).view(), dtype);
  }
  std::vector<float> magnitudes(int64_t row) const {
    std::vector<float> result;
    const int64_t cols = weight.shape()[1];
    for (int64_t c = 0; c < cols; ++c) result.push_back(std::fabs(ElementAsF32(weight.view(), row * cols + c)));
    return result;
  }
  Tensor weight;
};

float KthLargest(std::vector<float> values, double fraction) {
  const auto k = std::max<size_t>(1, static_cast<size_t>(fraction * static_cast<double>(values.size())));
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[k - 1];
}

double ThreeDeviations(const std::vector<float>& values) {
  double mean = 0, squares = 0;
  for (const float value : values) mean += value / static_cast<double>(values.size());
  for (const float value : values) squares += (value - mean) * (value - mean);
  return 3 * std::sqrt(squares / static_cast<double>(values.size() - 1));
}

float LargestUpTo(const std::vector<float>& values, double limit) {
  float largest = 0;
  for (const float value : values) largest = value <= limit ? std::max(largest, value) : largest;
  return largest;
}

WeightSpec SpecOf(WeightMethod method, double fraction) {
  WeightSpec spec;
  spec.method = method;
  spec.outlier_fraction = fraction;
  return spec;
}

struct OutlierCase {
  WeightMethod method;
  int64_t rows, cols;
  double fraction;
  DType dtype;
};

class OutlierRows : public testing::TestWithParam<OutlierCase> {};

TEST_P(OutlierRows, ScalesAndCodes) {
  const auto& [method, rows, cols, fraction, dtype] = GetParam();
  const Matrix matrix(rows, cols, dtype, 11);
  std::vector<float> all;
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<float> row = matrix.magnitudes(r);
    all.insert(all.end(), row.begin(), row.end());
  }
  const QuantizedWeight made = QuantizeWeight(matrix.weight.view(), SpecOf(method, fraction));
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<float> row = matrix.magnitudes(r);
    const double limit = method == WeightMethod::kOutliersOfMatrix ? KthLargest(all, fraction)
                         : method == WeightMethod::kOutliersOfRow  ? KthLargest(row, fraction)
                                                                   : ThreeDeviations(row);
    const float scale = RoundTo(dtype, LargestUpTo(row, limit) / 7.0f);
    ASSERT_EQ(ElementAsF32(made.scale.view(), r), scale) << r;
    for (int64_t c = 0; c < cols; ++c) {
      const float quotient = RoundTo(dtype, ElementAsF32(matrix.weight.view(), r * cols + c) / scale);
      const float code = std::clamp(std::nearbyint(quotient), -128.0f, 127.0f);
      ASSERT_EQ(made.codes.as<int8_t>()[r * cols + c], static_cast<int8_t>(code)) << r << " " << c;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Rules, OutlierRows,
    testing::Values(OutlierCase{WeightMethod::kOutliersOfMatrix, 37, 51, 0.02, DType::kF32},
                    OutlierCase{WeightMethod::kOutliersOfMatrix, 5, 7, 0.01, DType::kF32},  // less than one element
                    OutlierCase{WeightMethod::kOutliersOfMatrix, 300, 64, 0.1, DType::kBF16},
                    OutlierCase{WeightMethod::kOutliersOfRow, 9, 257, 0.012, DType::kF32},
                    OutlierCase{WeightMethod::kOutliersOfRow, 9, 64, 0.012, DType::kF16},  // less than one element
                    OutlierCase{WeightMethod::kOutliersBySigma, 33, 96, 0.01, DType::kF32},
                    OutlierCase{WeightMethod::kOutliersBySigma, 8, 160, 0.01, DType::kBF16}));

TEST(OutlierScalesTest, SameAtAnyNumberOfThreads) {
  const Matrix matrix(513, 130, DType::kF32, 3);
  const WeightSpec spec = SpecOf(WeightMethod::kOutliersOfMatrix, 0.03);
  SetComputeThreads(1);
  const std::vector<float> one = OutlierScales(matrix.weight.view(), spec);
  SetComputeThreads(4);
  EXPECT_EQ(OutlierScales(matrix.weight.view(), spec), one);
  SetComputeThreads(0);
}

TEST(OutlierScalesTest, NanIsSeen) {
  Matrix matrix(4, 33, DType::kF32, 5);
  matrix.weight.as<float>()[40] = std::nanf("");
  EXPECT_EQ(HasBadScale(QuantizeWeight(matrix.weight.view(), SpecOf(WeightMethod::kOutliersOfRow, 0.01))), 1);
}

}  // namespace
}  // namespace modelslim
