#include "ops/norm.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/parallel.h"
#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

float InverseRoot(const ConstView& x, int64_t row, int64_t cols, float eps) {
  double sum = 0;
  for (int64_t c = 0; c < cols; ++c) {
    const double value = ElementAsF32(x, row * cols + c);
    sum += value * value;
  }
  return static_cast<float>(1 / std::sqrt(sum / static_cast<double>(cols) + static_cast<double>(eps)));
}

// The f32 sum may differ from the f64 one in the last bits, which now and then tips a later rounding: equal up to one
// unit of the result's type, and exactly equal nearly always.
void ExpectAlmostAlways(const ConstView& y, const std::function<float(int64_t)>& expected) {
  const double unit = y.dtype == DType::kBF16 ? 0x1p-7 : y.dtype == DType::kF16 ? 0x1p-10 : 0x1p-20;
  int64_t different = 0;
  for (int64_t i = 0; i < y.size(); ++i) {
    const double want = static_cast<double>(expected(i));
    different += want != static_cast<double>(ElementAsF32(y, i));
    ASSERT_NEAR(ElementAsF32(y, i), want, unit * std::fabs(want)) << i;
  }
  if (y.dtype != DType::kF32) {
    EXPECT_LE(different, y.size() / 100);
  }
}

using Types = std::tuple<DType, DType>;
class Norms : public testing::TestWithParam<Types> {
 protected:
  static constexpr int64_t kRows = 9, kCols = 77;
  Norms()
      : x_(RandomTensor(std::get<0>(GetParam()), {kRows, kCols}, 1, 3.0f)),
        w_(RandomTensor(std::get<1>(GetParam()), {kCols}, 2)),
        result_(Promote(x_.dtype(), w_.dtype())) {}
  float X(int64_t i) const { return ElementAsF32(x_.view(), i); }
  float W(int64_t i) const { return ElementAsF32(w_.view(), i % kCols); }
  float N(int64_t i) const { return X(i) * InverseRoot(x_.view(), i / kCols, kCols, 1e-6f); }

  Tensor x_, w_;
  DType result_;
};

TEST_P(Norms, Plain) {
  Tensor y(result_, {kRows, kCols});
  RmsNorm(x_.view(), w_.view(), 1e-6f, y.view());
  ExpectAlmostAlways(y.view(), [&](int64_t i) { return RoundTo(result_, W(i) * RoundTo(x_.dtype(), N(i))); });
}

TEST_P(Norms, ZeroCentredAndF32Weight) {
  Tensor y(x_.dtype(), {kRows, kCols});
  RmsNorm(x_.view(), w_.view(), 1e-6f, y.view(), NormKind::kZeroCentred);
  ExpectAlmostAlways(y.view(), [&](int64_t i) { return RoundTo(x_.dtype(), N(i) * (1 + W(i))); });
  RmsNorm(x_.view(), w_.view(), 1e-6f, y.view(), NormKind::kF32Weight);
  ExpectAlmostAlways(y.view(), [&](int64_t i) { return RoundTo(x_.dtype(), N(i) * W(i)); });
}

TEST_P(Norms, Bias) {
  const DType w = w_.dtype();
  for (const DType bias_dtype : {DType::kF32, w}) {
    const Tensor bias = RandomTensor(bias_dtype, {kCols}, 3);
    const DType result = Promote(w, bias_dtype);
    Tensor y(result, {kRows, kCols});
    RmsNormBias(x_.view(), w_.view(), bias.view(), 1e-6f, y.view());
    for (int64_t i = 0; i < y.size(); ++i) {
      const float product = RoundTo(w, W(i) * RoundTo(w, N(i))), b = ElementAsF32(bias.view(), i % kCols);
      // One unit of the product may be left over after it cancels with the bias.
      ASSERT_NEAR(ElementAsF32(y.view(), i), RoundTo(result, product + b),
                  (std::fabs(product) + std::fabs(b)) * (w == DType::kF32   ? 0x1p-20f
                                                         : w == DType::kF16 ? 0x1p-10f
                                                                            : 0x1p-7f));
    }
  }
}

TEST_P(Norms, Gated) {
  const Tensor gate = RandomTensor(x_.dtype(), {kRows, kCols}, 4);
  Tensor y(x_.dtype(), {kRows, kCols});
  RmsNormGated(x_.view(), gate.view(), w_.view(), 1e-6f, y.view());
  ExpectAlmostAlways(y.view(), [&](int64_t i) {
    const float t = RoundTo(result_, W(i) * RoundTo(x_.dtype(), N(i))), z = ElementAsF32(gate.view(), i);
    return RoundTo(x_.dtype(), t * (z / (1 + std::exp(-z))));
  });
}

constexpr DType kB = DType::kBF16, kF = DType::kF32, kH = DType::kF16;
INSTANTIATE_TEST_SUITE_P(DTypes, Norms,
                         testing::Values(Types{kB, kB}, Types{kF, kB}, Types{kB, kF}, Types{kF, kF}, Types{kH, kH}));

TEST(Norm, HeadsAreNormalizedOneByOneAndInPlace) {
  const Tensor w = RandomTensor(kB, {16}, 5), x = RandomTensor(kB, {4, 48}, 6);
  Tensor whole = x.Clone(), heads(kB, {12, 16});
  RmsNorm(whole.view(), w.view(), 1e-5f, whole.view());
  RmsNorm({x.view().data, kB, {12, 16}}, w.view(), 1e-5f, heads.view());
  EXPECT_EQ(std::memcmp(whole.view().data, heads.view().data, heads.bytes()), 0);
}

TEST(Norm, EpsilonCounts) {
  const Tensor x = Tensor::Zeros(kF, {1, 8}), w = RandomTensor(kF, {8}, 7);
  Tensor y(kF, {1, 8});
  RmsNorm(x.view(), w.view(), 1e-6f, y.view());
  EXPECT_EQ(y.as<float>()[3], 0.0f);
  Tensor ones(kF, {1, 8});
  std::fill(ones.as<float>(), ones.as<float>() + 8, 1.0f);
  RmsNorm(ones.view(), ones.view(), 3.0f, y.view());
  EXPECT_EQ(y.as<float>()[0], 0.5f);
}

TEST(Norm, LayerNorm) {
  const Tensor x = RandomTensor(kF, {3, 50}, 8, 2.0f), w = RandomTensor(kF, {50}, 9), b = RandomTensor(kF, {50}, 10);
  Tensor y(kF, {3, 50}), plain(kF, {3, 50});
  LayerNorm(x.view(), w.view(), b.view(), 1e-6f, y.view());
  LayerNorm(x.view(), {}, {}, 1e-6f, plain.view());
  for (int64_t r = 0; r < 3; ++r) {
    double mean = 0, variance = 0;
    for (int c = 0; c < 50; ++c) mean += static_cast<double>(x.as<float>()[r * 50 + c]) / 50;
    for (int c = 0; c < 50; ++c) variance += std::pow(static_cast<double>(x.as<float>()[r * 50 + c]) - mean, 2) / 50;
    for (int c = 0; c < 50; ++c) {
      const double n = (static_cast<double>(x.as<float>()[r * 50 + c]) - mean) / std::sqrt(variance + 1e-6);
      EXPECT_NEAR(plain.as<float>()[r * 50 + c], n, 1e-5);
      EXPECT_NEAR(y.as<float>()[r * 50 + c],
                  n * static_cast<double>(w.as<float>()[c]) + static_cast<double>(b.as<float>()[c]), 1e-5);
    }
  }
}

TEST(Norm, ThreadsDoNotMatter) {
  const Tensor x = RandomTensor(kB, {700, 300}, 11), w = RandomTensor(kB, {300}, 12);
  Tensor one(kB, {700, 300}), many(kB, {700, 300});
  SetComputeThreads(1);
  RmsNorm(x.view(), w.view(), 1e-6f, one.view());
  SetComputeThreads(4);
  RmsNorm(x.view(), w.view(), 1e-6f, many.view());
  SetComputeThreads(0);
  EXPECT_EQ(std::memcmp(one.view().data, many.view().data, one.bytes()), 0);
}

}  // namespace
}  // namespace modelslim
