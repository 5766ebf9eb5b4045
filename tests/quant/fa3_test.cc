#include "quant/activations/fa3.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reference.h"

namespace modelslim {
namespace {

TEST(RecallWindow, WorkedExample) {
  HeadRanges ranges(2, 0.75);
  // [tokens, heads * dim] with one token of four values a head.
  ranges.Observe(reference::Make(DType::kF32, {1, 8}, {1, -2, .5f, 8, -3, .25f, 2, -.125f}).view());
  EXPECT_EQ(ranges.ranges()[0].min, -2);
  EXPECT_EQ(ranges.ranges()[0].max, 1);
  EXPECT_EQ(ranges.ranges()[1].min, -.125f);
  EXPECT_EQ(ranges.ranges()[1].max, 2);
  ranges.Observe(reference::Make(DType::kF32, {1, 8}, {0, .1f, .2f, -6, 10, 9, 9.5f, -9}).view());
  EXPECT_EQ(ranges.ranges()[0].min, -2);
  EXPECT_EQ(ranges.ranges()[0].max, 1);
  EXPECT_EQ(ranges.ranges()[1].min, -.125f);
  EXPECT_EQ(ranges.ranges()[1].max, 10);
  EXPECT_THAT(ranges.Int8Params().scale, testing::ElementsAre(0.015748031437397003f, 0.07874015718698502f));
  EXPECT_THAT(ranges.Fp8Params().scale, testing::ElementsAre(2.0f / 448.0f, 10.0f / 448.0f));
}

Range PlainWindow(std::vector<float> values, double ratio) {
  std::sort(values.begin(), values.end());
  const int64_t n = static_cast<int64_t>(values.size()),
                t = std::max<int64_t>(1, static_cast<int64_t>(ratio * static_cast<double>(n)));
  int64_t best = 0;
  for (int64_t i = 0; i <= n - t; ++i) {
    const double width = static_cast<double>(values[i + t - 1]) - values[i];
    if (width < static_cast<double>(values[best + t - 1]) - values[best]) best = i;
  }
  return Range{values[best], values[best + t - 1]};
}

TEST(RecallWindow, MatchesAFullSort) {
  for (const int64_t n : {1, 2, 3, 10, 1000, 9999, 10000, 16384}) {
    for (const double ratio : {1.0, 0.9999, 0.99, 0.75, 0.5, 0.3}) {
      const std::vector<float> values =
          reference::Floats(reference::Random(DType::kBF16, {n}, static_cast<uint32_t>(n)).view());
      std::vector<float> own = values;
      const Range found = RecallWindow(own, ratio), expected = PlainWindow(values, ratio);
      EXPECT_EQ(found.min, expected.min) << n << ' ' << ratio;
      EXPECT_EQ(found.max, expected.max) << n << ' ' << ratio;
    }
  }
}

TEST(RecallWindow, EmptyAndNan) {
  std::vector<float> none;
  EXPECT_TRUE(RecallWindow(none, 1.0).empty());
  std::vector<float> values = {NAN, 1, -1, 2};
  const Range window = RecallWindow(values, 0.75);
  EXPECT_EQ(window.min, -1);
  EXPECT_EQ(window.max, 2);
}

TEST(Heads, EachHasItsScaleAndTheResultIsF32) {
  const Tensor x = reference::Random(DType::kBF16, {5, 12}, 4, 1.0f);
  HeadRanges ranges(3, 1.0);
  ranges.Observe(x.view());
  Tensor out(DType::kF32, x.shape());
  const AffineTable params = ranges.Int8Params();
  EXPECT_EQ(params.dtype, DType::kBF16);
  FakeQuantizeHeads(x.view(), params, false, out.view());
  for (int64_t i = 0; i < x.size(); ++i) {
    const reference::Params own{params.scale[i % 12 / 4], 0.0f};
    const int q = reference::QuantizeOne(ElementAsF32(x.view(), i), own, DType::kBF16, 8);
    EXPECT_EQ(out.as<float>()[i], reference::DequantizeOne(q, own, DType::kBF16));
  }
}

TEST(Heads, MergeOfRanks) {
  HeadRanges a(2, 1.0), b(2, 1.0);
  a.Observe(reference::Make(DType::kF32, {1, 2}, {1, -5}).view());
  b.Observe(reference::Make(DType::kF32, {1, 2}, {-3, 7}).view());
  a.Merge(b.ranges());
  EXPECT_EQ(a.ranges()[0].min, -3);
  EXPECT_EQ(a.ranges()[0].max, 1);
  EXPECT_EQ(a.ranges()[1].min, -5);
  EXPECT_EQ(a.ranges()[1].max, 7);
}

}  // namespace
}  // namespace modelslim
