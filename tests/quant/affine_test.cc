#include "quant/numbers/affine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/parallel.h"
#include "reference.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr IntFormat kInt8{8, true}, kInt8Asym{8, false}, kInt4{4, true}, kInt4Asym{4, false};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

std::vector<int> Codes(const Tensor& q) {
  const int8_t* data = q.as<int8_t>();
  return std::vector<int>(data, data + q.size());
}

AffineTable ByRows(const Tensor& x, IntFormat format) {
  std::vector<float> min, max;
  for (int64_t row = 0; row < x.view().rows(); ++row) {
    const Range range = RangeOf(x.view().Rows(row, row + 1));
    min.push_back(range.min);
    max.push_back(range.max);
  }
  return TableFromRanges(min, max, x.dtype(), format, ParamAxis::kRow);
}

const std::vector<float> kExampleA = {0.5f, -1, 0.25f,    0.75f,      0,          0,           0,           0,
                                      -3,   1,  0.03125f, -0.015625f, 1.3203125f, -1.3203125f, 0.66015625f, -0.328125f};

struct RowExample {
  DType dtype;
  int bits;
  std::vector<float> scale;
  std::vector<int> q;
};

TEST(Affine, WorkedRows) {
  const float eps = 0x1p-23f;
  const std::vector<RowExample> examples = {
      {DType::kF32,
       8,
       {0.007874015718698502f, eps, 0.023622047156095505f, 0.010396161116659641f},
       {64, -127, 32, 95, 0, 0, 0, 0, -127, 42, 1, -1, 127, -127, 64, -32}},
      {DType::kF32,
       4,
       {0.1428571492433548f, eps, 0.4285714328289032f, 0.1886160671710968f},
       {3, -7, 2, 5, 0, 0, 0, 0, -7, 2, 0, 0, 7, -7, 4, -2}},
      {DType::kBF16,
       8,
       {0.00787353515625f, eps, 0.023681640625f, 0.0103759765625f},
       {64, -127, 32, 96, 0, 0, 0, 0, -126, 42, 1, -1, 127, -127, 64, -32}},
      {DType::kBF16,
       4,
       {0.142578125f, eps, 0.427734375f, 0.1884765625f},
       {4, -7, 2, 5, 0, 0, 0, 0, -7, 2, 0, 0, 7, -7, 4, -2}},
  };
  for (const RowExample& example : examples) {
    const Tensor w = reference::Make(example.dtype, {4, 4}, kExampleA);
    const IntFormat format{example.bits, true};
    const AffineTable table = ByRows(w, format);
    EXPECT_THAT(table.scale, ElementsAreArray(example.scale));
    Tensor q(DType::kI8, w.shape());
    Quantize(w.view(), table, format, q.view());
    EXPECT_THAT(Codes(q), ElementsAreArray(example.q)) << DTypeName(example.dtype) << example.bits;
  }
}

TEST(Affine, WorkedRowsDequantized) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor w = reference::Make(dtype, {4, 4}, kExampleA);
    Tensor back(DType::kF32, w.shape());
    FakeQuantize(w.view(), ByRows(w, kInt8), kInt8, back.view());
    const std::vector<float> values = reference::Floats(back.view());
    if (dtype == DType::kF32) {
      EXPECT_THAT(std::vector<float>(values.begin(), values.begin() + 4),
                  ElementsAre(0.5039370059967041f, -1.0f, 0.25196850299835205f, 0.748031497001648f));
    } else {  // an f32 result still holds products rounded to bf16
      EXPECT_THAT(std::vector<float>(values.begin(), values.begin() + 4),
                  ElementsAre(0.50390625f, -1.0f, 0.251953125f, 0.7578125f));
      EXPECT_THAT(std::vector<float>(values.begin() + 8, values.begin() + 12),
                  ElementsAre(-2.984375f, 0.99609375f, 0.023681640625f, -0.023681640625f));
    }
  }
}

struct Ends {
  int both = 0, lower = 0, upper = 0, other = 0;
};

Ends ScanMantissas(DType dtype, int mantissas, IntFormat format) {
  Ends ends;
  for (int k = 0; k < mantissas; ++k) {
    const float a = 1.0f + static_cast<float>(k) / static_cast<float>(mantissas);
    const Tensor x = reference::Make(dtype, {1, 2}, {-a, a});
    Tensor q(DType::kI8, {1, 2});
    Quantize(x.view(), AffineTable::Single(ParamsFromRange(-a, a, dtype, format)), format, q.view());
    const int low = q.as<int8_t>()[0], high = q.as<int8_t>()[1], top = static_cast<int>(format.highest());
    if (low == -top && high == top)
      ++ends.both;
    else if (low == -top - 1 && high == top)
      ++ends.lower;
    else if (low == 1 - top && high == top - 1)
      ++ends.upper;
    else
      ++ends.other;
  }
  return ends;
}

TEST(Affine, EveryBf16Mantissa) {
  const Ends bf16 = ScanMantissas(DType::kBF16, 128, kInt8);
  EXPECT_EQ(bf16.both, 94);
  EXPECT_EQ(bf16.lower, 21);  // -128 is a legal code of a symmetric range
  EXPECT_EQ(bf16.upper, 13);
  EXPECT_EQ(ScanMantissas(DType::kBF16, 128, kInt4).both, 128);
  EXPECT_EQ(ScanMantissas(DType::kF16, 1024, kInt8).both, 1024);
  EXPECT_EQ(ScanMantissas(DType::kF16, 1024, kInt4).both, 1024);
  EXPECT_EQ(ScanMantissas(DType::kF32, 4096, kInt8).both, 4096);
}

TEST(Affine, AsymmetricInt4) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = reference::Make(dtype, {1, 3}, {-1.0f, 0.5f, 2.0f});
    const AffineParams params = ParamsFromRange(-1.0f, 2.0f, dtype, kInt4Asym);
    EXPECT_EQ(params.scale, dtype == DType::kF32 ? 0.20000001788139343f : 0.201171875f);
    EXPECT_EQ(params.offset, -3.0f);
    Tensor q(DType::kI8, {1, 3}), back(DType::kF32, {1, 3});
    Quantize(x.view(), AffineTable::Single(params), kInt4Asym, q.view());
    EXPECT_THAT(Codes(q), ElementsAre(-8, -1, 7));
    Dequantize(q.view(), AffineTable::Single(params), back.view());
    if (dtype == DType::kF32) {
      EXPECT_THAT(reference::Floats(back.view()),
                  ElementsAre(-1.0000001192092896f, 0.40000003576278687f, 2.000000238418579f));
    } else {
      EXPECT_THAT(reference::Floats(back.view()), ElementsAre(-1.0078125f, 0.40234375f, 2.015625f));
    }
  }
}

TEST(Affine, Groups) {
  const Tensor x = reference::Make(DType::kF32, {2, 4}, {1, -2, 3, -4, 0.5f, 0.25f, -0.125f, 8});
  const std::vector<float> min = {-2, -4, 0.25f, -0.125f}, max = {1, 3, 0.5f, 8};
  for (const IntFormat format : {kInt8, kInt4}) {
    const AffineTable table = TableFromRanges(min, max, DType::kF32, format, ParamAxis::kGroup, 2);
    Tensor q(DType::kI8, {2, 4});
    Quantize(x.view(), table, format, q.view());
    if (format.bits == 8) {
      EXPECT_THAT(table.scale, ElementsAre(0.015748031437397003f, 0.031496062874794006f, 0.003937007859349251f,
                                           0.06299212574958801f));
      EXPECT_THAT(Codes(q), ElementsAre(64, -127, 95, -127, 127, 64, -2, 127));
    } else {
      EXPECT_THAT(table.scale,
                  ElementsAre(0.2857142984867096f, 0.5714285969734192f, 0.0714285746216774f, 1.1428571939468384f));
      EXPECT_THAT(Codes(q), ElementsAre(3, -7, 5, -7, 7, 3, 0, 7));
    }
  }
}

TEST(Affine, DegenerateRanges) {
  EXPECT_EQ(ParamsFromRange(0, 0, DType::kBF16, kInt8).scale, 0x1p-23f);
  const AffineParams zero = ParamsFromRange(0, 0, DType::kF32, kInt8Asym);
  EXPECT_EQ(zero.scale, 0x1p-23f);
  EXPECT_EQ(zero.offset, -128.0f);
  // A constant is no special case: zero belongs to the range.
  EXPECT_EQ(ParamsFromRange(0.7f, 0.7f, DType::kF32, kInt8Asym).offset, -128.0f);
  EXPECT_TRUE(std::isnan(ParamsFromRange(kNan, 1, DType::kF32, kInt8).scale));
  EXPECT_TRUE(std::isnan(ParamsFromRange(-1, kNan, DType::kF32, kInt8Asym).scale));

  const AffineParams infinite = ParamsFromRange(-2, kInf, DType::kF32, kInt8Asym);
  EXPECT_EQ(infinite.scale, kInf);
  EXPECT_EQ(infinite.offset, -128.0f);
  const Tensor x = reference::Make(DType::kF32, {1, 3}, {1, kInf, -2});
  Tensor q(DType::kI8, {1, 3});
  Quantize(x.view(), AffineTable::Single(infinite), kInt8Asym, q.view());
  EXPECT_THAT(Codes(q), ElementsAre(-128, 0, -128));
}

TEST(Affine, NanBecomesZeroAndDequantizesToNanUnderANanScale) {
  const Tensor x = reference::Make(DType::kBF16, {1, 3}, {1, kNan, -2});
  Tensor q(DType::kI8, {1, 3}), back(DType::kBF16, {1, 3});
  const AffineTable good = AffineTable::Single(ParamsFromRange(-2, 1, DType::kBF16, kInt8));
  Quantize(x.view(), good, kInt8, q.view());
  EXPECT_EQ(q.as<int8_t>()[1], 0);
  const AffineTable bad = AffineTable::Single(ParamsFromRange(kNan, kNan, DType::kBF16, kInt8));
  Quantize(x.view(), bad, kInt8, q.view());
  EXPECT_THAT(Codes(q), ElementsAre(0, 0, 0));
  FakeQuantize(x.view(), bad, kInt8, back.view());
  for (const float value : reference::Floats(back.view())) EXPECT_TRUE(std::isnan(value));
}

// All pairs of dtypes, axes and formats against the element-wise definition.
TEST(Affine, MatchesTheReference) {
  const DType types[] = {DType::kF32, DType::kBF16, DType::kF16};
  uint32_t seed = 0;
  for (const DType data : types) {
    for (const DType scales : types) {
      for (const IntFormat format : {kInt8, kInt8Asym, kInt4, kInt4Asym}) {
        for (const ParamAxis axis : {ParamAxis::kTensor, ParamAxis::kRow, ParamAxis::kColumn, ParamAxis::kGroup}) {
          const int64_t rows = 5, cols = 1027, group = 100, groups = 11;
          const Tensor x = reference::Random(data, {rows, cols}, ++seed, 1.0f);
          const int64_t count = axis == ParamAxis::kTensor   ? 1
                                : axis == ParamAxis::kRow    ? rows
                                : axis == ParamAxis::kColumn ? cols
                                                             : rows * groups;
          std::mt19937 engine(seed);
          std::uniform_real_distribution<float> high(0.1f, 9.0f);
          std::vector<float> min(count), max(count);
          for (int64_t i = 0; i < count; ++i)
            min[i] = RoundTo(scales, -high(engine)), max[i] = RoundTo(scales, high(engine));
          const AffineTable table =
              TableFromRanges(min, max, scales, format, axis, axis == ParamAxis::kGroup ? group : 0);
          Tensor q(DType::kI8, x.shape()), fake(DType::kF32, x.shape()), back(data, x.shape());
          Quantize(x.view(), table, format, q.view());
          FakeQuantize(x.view(), table, format, fake.view());
          Dequantize(q.view(), table, back.view());
          for (int64_t i = 0; i < x.size(); ++i) {
            const int64_t row = i / cols, column = i % cols;
            const int64_t index = axis == ParamAxis::kTensor   ? 0
                                  : axis == ParamAxis::kRow    ? row
                                  : axis == ParamAxis::kColumn ? column
                                                               : row * groups + column / group;
            const reference::Params params =
                reference::ParamsOf(min[index], max[index], scales, format.bits, format.symmetric);
            const int expected =
                reference::QuantizeOne(ElementAsF32(x.view(), i), params, Promote(data, scales), format.bits);
            ASSERT_EQ(q.as<int8_t>()[i], expected);
            const float value = reference::DequantizeOne(expected, params, scales);
            ASSERT_EQ(fake.as<float>()[i], value);
            ASSERT_EQ(ElementAsF32(back.view(), i), RoundTo(data, value));
          }
        }
      }
    }
  }
}

TEST(Affine, InPlaceAndAnyThreadCount) {
  const Tensor x = reference::Random(DType::kBF16, {300, 700}, 7);
  const AffineTable table = ByRows(x, kInt8);
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 5}) {
    SetComputeThreads(threads);
    Tensor copy = x.Clone();
    FakeQuantize(copy.view(), table, kInt8, copy.view());
    results.push_back(std::move(copy));
  }
  SetComputeThreads(0);
  EXPECT_TRUE(reference::SameBits(results[0].view(), results[1].view()));
  EXPECT_TRUE(reference::SameBits(results[0].view(), results[2].view()));
}

TEST(Ranges, OfAllTypesAndOddSizes) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const int64_t n : {1, 2, 15, 33, 1000}) {
      const Tensor x = reference::Random(dtype, {n}, static_cast<uint32_t>(n));
      const std::vector<float> values = reference::Floats(x.view());
      const Range range = RangeOf(x.view());
      EXPECT_EQ(range.min, *std::min_element(values.begin(), values.end()));
      EXPECT_EQ(range.max, *std::max_element(values.begin(), values.end()));
    }
    const Range both = RangeOf(reference::Make(dtype, {3}, {-kInf, 0, kInf}).view());
    EXPECT_EQ(both.min, -kInf);
    EXPECT_EQ(both.max, kInf);
    for (const float nan : {kNan, -kNan}) {
      const Range spoiled = RangeOf(reference::Make(dtype, {3}, {1, nan, 2}).view());
      EXPECT_TRUE(std::isnan(spoiled.min) && std::isnan(spoiled.max));
    }
    EXPECT_TRUE(RangeOf(Tensor(dtype, {0, 4}).view()).empty());
  }
}

TEST(Ranges, MergeKeepsNanAndIgnoresEmptyOnes) {
  const Range nan{kNan, kNan}, one{-1, 2};
  EXPECT_TRUE(std::isnan(Merge(nan, one).min));
  EXPECT_TRUE(std::isnan(Merge(one, nan).max));
  EXPECT_EQ(Merge(Range{}, one).max, 2);
  EXPECT_EQ(Merge(one, Range{}).min, -1);
}

TEST(Ranges, PerColumn) {
  const Tensor x = reference::Make(DType::kF32, {3, 3}, {1, kNan, -5, 2, 3, -6, -1, 0, 7});
  std::vector<float> min, max;
  ColumnRangesOf(x.view(), &min, &max);
  EXPECT_EQ(min[0], -1);
  EXPECT_EQ(max[0], 2);
  EXPECT_TRUE(std::isnan(min[1]) && std::isnan(max[1]));
  EXPECT_EQ(min[2], -6);
  EXPECT_EQ(max[2], 7);
}

}  // namespace
}  // namespace modelslim
