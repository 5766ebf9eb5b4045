#include "ops/reduce.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

class Reduce : public testing::TestWithParam<DType> {};

TEST_P(Reduce, AgreesWithPlainLoops) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {3, 40}, {700, 37}, {130, 2100}}) {
    const Tensor x = RandomTensor(GetParam(), {rows, cols}, 1);
    Tensor min(DType::kF32, {cols}), max(DType::kF32, {cols}), abs(DType::kF32, {cols}), mean(DType::kF32, {cols});
    Tensor both_min(DType::kF32, {cols}), both_max(DType::kF32, {cols});
    Tensor row_min(DType::kF32, {rows}), row_max(DType::kF32, {rows}), row_abs(DType::kF32, {rows});
    ColumnMin(x.view(), min.view());
    ColumnMax(x.view(), max.view());
    ColumnAbsMax(x.view(), abs.view());
    ColumnMeanAbs(x.view(), mean.view());
    ColumnMinMax(x.view(), both_min.view(), both_max.view());
    RowMinMax(x.view(), row_min.view(), row_max.view());
    RowAbsMax(x.view(), row_abs.view());
    float all_min = INFINITY, all_max = -INFINITY;
    for (int64_t c = 0; c < cols; ++c) {
      float low = INFINITY, high = -INFINITY;
      double sum = 0;
      for (int64_t r = 0; r < rows; ++r) {
        const float value = ElementAsF32(x.view(), r * cols + c);
        low = std::min(low, value), high = std::max(high, value), sum += std::fabs(static_cast<double>(value));
      }
      all_min = std::min(all_min, low), all_max = std::max(all_max, high);
      ASSERT_EQ(min.as<float>()[c], low);
      ASSERT_EQ(max.as<float>()[c], high);
      ASSERT_EQ(both_min.as<float>()[c], low);
      ASSERT_EQ(both_max.as<float>()[c], high);
      ASSERT_EQ(abs.as<float>()[c], std::max(std::fabs(low), std::fabs(high)));
      ASSERT_FLOAT_EQ(mean.as<float>()[c], static_cast<float>(sum / static_cast<double>(rows)));
    }
    for (int64_t r = 0; r < rows; ++r) {
      float low = INFINITY, high = -INFINITY;
      for (int64_t c = 0; c < cols; ++c) {
        low = std::min(low, ElementAsF32(x.view(), r * cols + c)),
        high = std::max(high, ElementAsF32(x.view(), r * cols + c));
      }
      ASSERT_EQ(row_min.as<float>()[r], low);
      ASSERT_EQ(row_max.as<float>()[r], high);
      ASSERT_EQ(row_abs.as<float>()[r], std::max(std::fabs(low), std::fabs(high)));
    }
    const Range range = MinMax(x.view());
    EXPECT_EQ(range.min, all_min);
    EXPECT_EQ(range.max, all_max);
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, Reduce, testing::Values(DType::kF32, DType::kBF16, DType::kF16));

TEST(Reductions, NaNWinsWhereverItStands) {
  const int64_t rows = 300, cols = 20;
  for (const int64_t at : {int64_t{0}, int64_t{7}, rows * cols / 2 + 3, rows * cols - 1}) {
    Tensor x = RandomTensor(DType::kF32, {rows, cols}, 2), out(DType::kF32, {cols}), other(DType::kF32, {cols});
    x.as<float>()[at] = NAN;
    EXPECT_TRUE(std::isnan(MinMax(x.view()).min) && std::isnan(MinMax(x.view()).max));
    ColumnMinMax(x.view(), out.view(), other.view());
    for (int64_t c = 0; c < cols; ++c) {
      EXPECT_EQ(std::isnan(out.as<float>()[c]), c == at % cols);
      EXPECT_EQ(std::isnan(other.as<float>()[c]), c == at % cols);
    }
    ColumnAbsMax(x.view(), out.view());
    for (int64_t c = 0; c < cols; ++c) EXPECT_EQ(std::isnan(out.as<float>()[c]), c == at % cols);
    Tensor row_abs(DType::kF32, {rows});
    RowAbsMax(x.view(), row_abs.view());
    for (int64_t r = 0; r < rows; ++r) EXPECT_EQ(std::isnan(row_abs.as<float>()[r]), r == at / cols);
  }
}

TEST(Reductions, SumsOfBF16DoNotDependOnTheCutNorOnThreads) {
  const Tensor x = RandomTensor(DType::kBF16, {1000, 33}, 3);
  Tensor whole = Tensor::Zeros(DType::kF64, {33}), parts = Tensor::Zeros(DType::kF64, {33});
  SetComputeThreads(1);
  ColumnSumAbs(x.view(), whole.view());
  SetComputeThreads(3);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 400}, {400, 1000}}) {
    ColumnSumAbs(x.view().Rows(begin, end), parts.view());
  }
  SetComputeThreads(0);
  for (int c = 0; c < 33; ++c) EXPECT_EQ(whole.as<double>()[c], parts.as<double>()[c]);
}

}  // namespace
}  // namespace modelslim
