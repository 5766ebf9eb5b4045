#include "quant/moments/sparse.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "base/parallel.h"
#include "quant/moments/sparse_select.h"
#include "quant/rewrite_testing.h"

namespace modelslim {
namespace {

using testing::ExpectNear;
using testing::Matrix;
using testing::Random;
using testing::Values;

TEST(Sparse, ThinMantissaExamples) {
  const std::map<float, float> thin = {{.3f, .3125f}, {1.1f, 1},      {-2.7f, -2.5f},           {100, 96},
                                       {1.125f, 1},   {1.375f, 1.5f}, {.00390625f, .00390625f}, {.0045f, .0048828125f}};
  for (const auto& [x, expected] : thin) {
    EXPECT_EQ(ThinMantissa(x, false), expected) << x;
    EXPECT_EQ(ThinMantissa(x, true), RoundTo<F16>(x)) << x;
  }
  const std::map<float, float> either = {
      {.003f, .00390625f}, {.0035f, .00390625f}, {-1e-4f, -0.0001220703125f}, {0, 0}};
  for (const auto& [x, expected] : either) {
    EXPECT_EQ(ThinMantissa(x, false), expected) << x;
    EXPECT_EQ(ThinMantissa(x, true), expected) << x;
  }
  EXPECT_EQ(ThinMantissa(6e-5f, false), 0);
  EXPECT_EQ(ThinMantissa(6e-5f, true), RoundTo<F16>(6e-5f));
  EXPECT_EQ(ThinMantissa(1e6f, false), HUGE_VALF);  // beyond f16
  EXPECT_TRUE(std::isnan(ThinMantissa(std::nanf(""), false)));
}

SparseStats ExampleStats() {
  SparseStats stats(3);
  stats.Add(Matrix(DType::kF16, {1, 4, 3}, {1, 0, 2, 0, 1, 1, 1, 1, 0, 2, -1, 0}).view());
  stats.Add(Matrix(DType::kF16, {1, 2, 3}, {0, .5, -1, 1, -1, .5}).view());
  return stats;
}

TEST(Sparse, WorkedExample) {
  const SparseStats stats = ExampleStats();
  EXPECT_EQ(Values(stats.Moment()), (std::vector<float>{7, -2, 2.5, -2, 4.25, 0, 2.5, 0, 6.25}));
  ExpectNear(stats.ScalerRow(), std::vector<float>{3.5, 2.125, 3.125}, 1e-6);
  EXPECT_EQ(stats.entries(), 2);
  const Tensor w = Matrix(DType::kF16, {2, 3}, {.5, -.25, .1f, -.3f, .8f, -.05f});
  const auto result = AdmmSparsify(w.view(), stats, {.sparse_ratio = .5});
  EXPECT_EQ(Values(result.pruned), (std::vector<float>{0.59716796875f, 0, 0, -0.318359375f, 0.7919921875f, 0}));
  EXPECT_EQ(Values(result.weight), (std::vector<float>{0.625f, 0, 0, -0.3125f, 0.7919921875f, 0}));
  EXPECT_EQ(result.zeros, 3);
  EXPECT_EQ(result.kept, 1);
}

TEST(Sparse, BatchesOfTwoDimensionsCountOnce) {
  SparseStats stats(2);
  stats.Add(Matrix(DType::kF32, {3, 2}, {1, 0, 1, 2, 1, 0}).view());
  EXPECT_EQ(stats.entries(), 1);
  ExpectNear(stats.ScalerRow(), std::vector<float>{3, 4}, 1e-6);
  stats.Add(Matrix(DType::kF32, {3, 1, 2}, {1, 0, 1, 2, 1, 0}).view());
  EXPECT_EQ(stats.entries(), 4);
  ExpectNear(stats.ScalerRow(), std::vector<float>{1.5f, 2}, 1e-6);
  EXPECT_THROW(stats.Add(Matrix(DType::kF32, {1, 3}, {1, 0, 1}).view()), Error);
}

TEST(Sparse, PrunesTheWantedShare) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor x = Random(dtype, {1, 90, 40}, 1), w = Random(dtype, {33, 40}, 2, .1f);
    SparseStats stats(40);
    stats.Add(x.view());
    for (const double ratio : {0.0, .3, 1.0}) {
      const auto result = AdmmSparsify(w.view(), stats, {.sparse_ratio = ratio});
      int64_t zeros = 0;
      for (const float v : Values(result.pruned)) zeros += v == 0;
      EXPECT_GE(zeros, static_cast<int64_t>(33 * 40 * ratio));
      EXPECT_LE(zeros, static_cast<int64_t>(33 * 40 * ratio) + 2);
      if (ratio == 1.0) continue;
      EXPECT_GE(result.kept, 25);  // 2 % of 1320, ties aside
      EXPECT_LE(result.kept, 40);
    }
  }
}

// Pruning against the second moment must hurt the output less than dropping the smallest weights.
TEST(Sparse, BeatsPruningByMagnitude) {
  const Tensor w = Random(DType::kF32, {30, 48}, 3, .1f);
  const auto base = Values(Random(DType::kF32, {200, 6}, 4)), mix = Values(Random(DType::kF32, {6, 48}, 5)),
             noise = Values(Random(DType::kF32, {200, 48}, 6));
  std::vector<float> x;
  const auto mixed = testing::Product(base, mix, 200, 6, 48);
  for (size_t i = 0; i < noise.size(); ++i) x.push_back(static_cast<float>(mixed[i]) + .3f * noise[i]);
  const Tensor inputs = Matrix(DType::kF32, {1, 200, 48}, x);
  SparseStats stats(48);
  stats.Add(inputs.view());
  const auto error = [&](const ConstView& pruned) {
    const auto before = testing::LinearF64(x, w.view(), {}), after = testing::LinearF64(x, pruned, {});
    double sum = 0;
    for (size_t i = 0; i < before.size(); ++i) sum += (before[i] - after[i]) * (before[i] - after[i]);
    return sum;
  };
  auto plain = Values(w);
  std::vector<float> magnitudes;
  for (const float v : plain) magnitudes.push_back(std::fabs(v));
  std::nth_element(magnitudes.begin(), magnitudes.begin() + 720, magnitudes.end());
  for (float& v : plain) v = std::fabs(v) < magnitudes[720] ? 0 : v;
  const auto result = AdmmSparsify(w.view(), stats, {.sparse_ratio = .5});
  EXPECT_LT(error(result.pruned.view()), 0.6 * error(Matrix(DType::kF32, {30, 48}, plain).view()));
}

TEST(Sparse, SelectionIsThatOfSorting) {
  std::mt19937 generator(7);
  for (const int64_t size : {1, 2, 1000, 600000}) {
    std::vector<uint32_t> values(size);
    for (uint32_t& v : values) v = static_cast<uint32_t>(size == 1000 ? generator() % 7 : generator() & 0x7fffffffu);
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    for (const int64_t rank : {int64_t{0}, size / 3, size - 1})
      EXPECT_EQ(LargestAt(values, rank), sorted[size - 1 - rank]);
    std::vector<uint8_t> mask;
    for (const int64_t count : {int64_t{0}, size / 3, size}) {
      MaskSmallest(values, count, &mask);
      EXPECT_EQ(std::count(mask.begin(), mask.end(), 0), count);
      for (int64_t i = 0; count > 0 && i < size; ++i) {
        if (mask[i] == 0) {
          ASSERT_LE(values[i], sorted[count - 1]);
        } else {
          ASSERT_GE(values[i], sorted[count - 1]);
        }
      }
    }
  }
}

TEST(Sparse, RefusesNonsense) {
  const Tensor w = Random(DType::kF32, {4, 3}, 1);
  EXPECT_THROW(AdmmSparsify(w.view(), SparseStats(4)), Error);
  EXPECT_THROW(AdmmSparsify(w.view(), ExampleStats(), {.sparse_ratio = 1.5}), Error);
  EXPECT_THROW(AdmmSparsify(w.view(), ExampleStats(), {.sparse_ratio = std::nan("")}), Error);
  SparseStats nan(3);
  nan.Add(Matrix(DType::kF32, {1, 3}, {1, std::nanf(""), 2}).view());
  EXPECT_THROW(AdmmSparsify(w.view(), nan), Error);
}

TEST(Sparse, ChannelsThatNeverSpoke) {
  const auto result = AdmmSparsify(Random(DType::kF32, {4, 3}, 1).view(), SparseStats(3));
  for (const float v : Values(result.weight)) EXPECT_TRUE(std::isfinite(v));
}

TEST(Sparse, SameBytesAtAnyThreadCount) {
  const Tensor x = Random(DType::kBF16, {1, 400, 300}, 1), w = Random(DType::kBF16, {200, 300}, 2, .1f);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    SetComputeThreads(threads);
    SparseStats stats(300);
    stats.Add(x.view());
    results.push_back(Values(AdmmSparsify(w.view(), stats).weight));
  }
  SetComputeThreads(0);
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace modelslim
