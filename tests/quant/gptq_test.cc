#include "quant/moments/gptq.h"

#include <gmock/gmock.h>

#include <utility>

#include "base/parallel.h"
#include "quant/moments/cholesky.h"
#include "quant/numbers/affine.h"
#include "quant/rewrite_testing.h"

namespace modelslim {
namespace {

using testing::ExpectNear;
using testing::Matrix;
using testing::Random;
using testing::Values;

Tensor ExampleHessian() {
  const Tensor x1 = Matrix(DType::kF32, {1, 4, 4}, {1, 0, 2, .5, 0, 1, 1, -1, 1, 1, 0, 0, 2, -1, 0, 1});
  const Tensor x2 = Matrix(DType::kF32, {1, 2, 4}, {0, .5, -1, 2, 1, -1, .5, 0});
  Hessian hessian(4);
  hessian.Add(x1.view());
  hessian.Add(x2.view());
  EXPECT_EQ(hessian.rows(), 6);
  return hessian.Value();
}
Tensor ExampleWeight() { return Matrix(DType::kF32, {2, 4}, {.9f, -.31f, .22f, -.55f, 1, .5, -.25, .125}); }

std::vector<int> Ints(const Tensor& q) { return {q.as<int8_t>(), q.as<int8_t>() + q.size()}; }

TEST(Gptq, WorkedExamplePerChannel) {
  const Tensor h = ExampleHessian();
  EXPECT_NEAR(h.as<float>()[0] + 0.01 * (7 + 4.25 + 6.25 + 6.25) / 4 * 2 / 6, 2.3531248569488525, 1e-6);
  const auto result = Gptq(ExampleWeight().view(), h.view(), {.bits = 4, .block_size = 2});
  EXPECT_EQ(Values(result.scale), (std::vector<float>{0.12857142090797424f, 0.1428571492433548f}));
  EXPECT_EQ(Values(result.offset), (std::vector<float>{0, 0}));
  EXPECT_EQ(Ints(result.q), (std::vector<int>{7, -2, 2, -4, 7, 3, -2, 1}));
  EXPECT_GT(result.loss, 0);
}

TEST(Gptq, WorkedExamplePerGroup) {
  const auto result =
      Gptq(ExampleWeight().view(), ExampleHessian().view(), {.bits = 4, .group_size = 2, .block_size = 2});
  EXPECT_EQ(result.scale.shape(), (Shape{2, 2}));
  const auto s = Values(result.scale);
  EXPECT_EQ(s[0], 0.12857142090797424f);
  EXPECT_EQ(s[2], 0.1428571492433548f);
  EXPECT_NEAR(s[1], 0.0772409439086914, 1e-7);  // from columns that products have changed
  EXPECT_NEAR(s[3], 0.03628421574831009, 1e-7);
  EXPECT_EQ(Ints(result.q), (std::vector<int>{7, -2, 3, -7, 7, 3, -7, 3}));
}

// Mean squared output error of w~ against w under a Hessian: tr((w~ - w) H (w~ - w)').
double OutputError(const ConstView& w, const ConstView& rounded, const Tensor& h) {
  const auto a = Values(w), b = Values(rounded);
  const int64_t in = w.cols();
  double error = 0;
  for (int64_t r = 0; r < w.rows(); ++r) {
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t j = 0; j < in; ++j) {
        error += static_cast<double>(b[r * in + i] - a[r * in + i]) * h.as<float>()[i * in + j] *
                 (b[r * in + j] - a[r * in + j]);
      }
    }
  }
  return error;
}

// Inputs with correlated channels, where moving errors pays.
Tensor Inputs(DType dtype, int64_t rows, int64_t in, uint32_t seed) {
  const auto base = Values(Random(DType::kF32, {rows, 8}, seed)),
             noise = Values(Random(DType::kF32, {rows, in}, seed + 1));
  const auto mix = Values(Random(DType::kF32, {8, in}, seed + 2));
  auto x = testing::Product(base, mix, rows, 8, in);
  std::vector<float> values;
  for (int64_t i = 0; i < rows * in; ++i) values.push_back(static_cast<float>(x[i]) + 0.5f * noise[i]);
  return Matrix(dtype, {rows, in}, values);
}

TEST(Gptq, BeatsRoundingToNearest) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor w = Random(dtype, {37, 96}, 1, .05f), x = Inputs(dtype, 300, 96, 2);
    Hessian hessian(96);
    hessian.Add(x.view());
    const Tensor h = hessian.Value();
    for (const bool symmetric : {true, false}) {
      for (const int64_t group : {0, 32}) {
        const GptqOptions options{.bits = 4, .symmetric = symmetric, .group_size = group, .block_size = 40};
        const auto result = Gptq(w.view(), h.view(), options);
        std::vector<float> low, high;
        const int64_t span = group == 0 ? 96 : group;
        for (int64_t r = 0; r < 37; ++r) {
          for (int64_t c = 0; c < 96; c += span) {
            const auto row = Values(w.view().Rows(r, r + 1));
            low.push_back(*std::min_element(row.begin() + c, row.begin() + c + span));
            high.push_back(*std::max_element(row.begin() + c, row.begin() + c + span));
          }
        }
        const IntFormat format{4, symmetric};
        Tensor nearest(DType::kF32, {37, 96});
        FakeQuantize(w.view(),
                     TableFromRanges(low, high, dtype, format, group == 0 ? ParamAxis::kRow : ParamAxis::kGroup, group),
                     format, nearest.view());
        const double plain = OutputError(w.view(), nearest.view(), h),
                     ours = OutputError(w.view(), result.dequantized.view(), h);
        EXPECT_LT(ours, 0.75 * plain) << DTypeName(dtype) << " " << symmetric << " " << group;
        EXPECT_GT(ours, 0.02 * plain);
        // The codes say the same as the rounded weight.
        Tensor again(dtype, {37, 96});
        AffineTable table{group == 0 ? ParamAxis::kRow : ParamAxis::kGroup, result.scale.dtype(), Values(result.scale),
                          Values(result.offset), group};
        Dequantize(result.q.view(), table, again.view());
        EXPECT_EQ(Values(again), Values(result.dequantized)) << DTypeName(dtype) << " " << symmetric << " " << group;
      }
    }
  }
}

// Plain loops in f64 over the definition, one column at a time and with no blocks.
std::vector<double> PlainGptq(const std::vector<float>& weight, const Tensor& u, int64_t rows, int64_t in,
                              float levels) {
  std::vector<double> w(weight.begin(), weight.end()), rounded(weight.size());
  for (int64_t r = 0; r < rows; ++r) {
    double max = 0;
    for (int64_t c = 0; c < in; ++c) max = std::max(max, std::fabs(w[r * in + c]));
    const double s = static_cast<float>(max) / levels;
    for (int64_t j = 0; j < in; ++j) {
      rounded[r * in + j] =
          std::clamp(std::nearbyint(w[r * in + j] / s), -levels - 1.0, static_cast<double>(levels)) * s;
      const double err = (w[r * in + j] - rounded[r * in + j]) / u.as<float>()[j * in + j];
      for (int64_t k = j; k < in; ++k) w[r * in + k] -= err * u.as<float>()[j * in + k];
    }
  }
  return rounded;
}

TEST(Gptq, AgreesWithTheDefinitionAtAnyBlockSize) {
  const Tensor w = Random(DType::kF32, {9, 50}, 1), x = Inputs(DType::kF32, 200, 50, 2);
  Hessian hessian(50);
  hessian.Add(x.view());
  Tensor damped = hessian.Value();
  double mean = 0;
  for (int64_t i = 0; i < 50; ++i) mean += damped.as<float>()[i * 51] / 50;
  for (int64_t i = 0; i < 50; ++i) damped.as<float>()[i * 51] += static_cast<float>(0.01 * mean);
  const auto expected = PlainGptq(Values(w), InverseUpperFactor(damped.view()), 9, 50, 7);
  for (const int64_t block : {1, 7, 50, 128}) {
    const auto result = Gptq(w.view(), hessian.Value().view(), {.bits = 4, .block_size = block});
    int different = 0;
    for (int64_t i = 0; i < 9 * 50; ++i) different += std::fabs(Values(result.dequantized)[i] - expected[i]) > 1e-4;
    EXPECT_LE(different, 2) << block;  // a tie may fall to the other side and take its row's later columns along
  }
}

TEST(Gptq, SilentColumnsBecomeZero) {
  Tensor x = Inputs(DType::kF32, 60, 12, 3);
  for (int64_t r = 0; r < 60; ++r) x.as<float>()[r * 12 + 5] = 0;
  Hessian hessian(12);
  hessian.Add(x.view());
  const auto result = Gptq(Random(DType::kF32, {4, 12}, 4).view(), hessian.Value().view(), {.bits = 8});
  for (int64_t r = 0; r < 4; ++r) EXPECT_EQ(result.q.as<int8_t>()[r * 12 + 5], 0);
}

TEST(Gptq, ZeroRowsAndOneColumn) {
  Hessian hessian(1);
  hessian.Add(Matrix(DType::kF32, {3, 1}, {1, 2, 3}).view());
  const auto result = Gptq(Matrix(DType::kBF16, {2, 1}, {0, 3}).view(), hessian.Value().view(), {.bits = 8});
  EXPECT_EQ(Ints(result.q), (std::vector<int>{0, 126}));  // 3 / bf16(3 / 127) is 126.5 in bf16
  EXPECT_EQ(Values(result.scale)[0], 0x1p-23f);
}

TEST(Gptq, HessiansAddUp) {
  const Tensor x = Inputs(DType::kBF16, 64, 20, 5);
  Hessian whole(20), first(20), second(20);
  whole.Add(x.view());
  first.Add(x.view().Rows(0, 20));
  second.Add(x.view().Rows(20, 64));
  first.Merge(second);
  EXPECT_EQ(first.rows(), 64);
  ExpectNear(Values(first.Value()), Values(whole.Value()), 1e-4);
  EXPECT_EQ(Values(Hessian(3).Value()), std::vector<float>(9, 0.0f));
  EXPECT_THROW(whole.Add(Random(DType::kF32, {2, 19}, 1).view()), Error);
}

TEST(Gptq, RefusesNonsense) {
  const Tensor w = Random(DType::kF32, {4, 12}, 1), h = Random(DType::kF32, {12, 12}, 2);
  const auto code = [&](const GptqOptions& options, const ConstView& hessian) {
    try {
      Gptq(w.view(), hessian, options, "model.layers.0.q_proj");
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("model.layers.0.q_proj"));
      return static_cast<int>(error.code());
    }
    return 0;
  };
  EXPECT_EQ(code({.bits = 3}, h.view()), 200);
  EXPECT_EQ(code({.group_size = 5}, h.view()), 200);
  EXPECT_EQ(code({.block_size = 0}, h.view()), 200);
  EXPECT_EQ(code({.percdamp = -1}, h.view()), 200);
  EXPECT_EQ(code({}, Random(DType::kF32, {11, 12}, 2).view()), 200);
  EXPECT_EQ(code({}, h.view()), 500);  // not positive definite
}

TEST(Gptq, LinearsThatReadTheSameShareAFactor) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor q = Random(dtype, {24, 96}, 1), k = Random(dtype, {8, 96}, 2);
    auto inputs = Values(Inputs(dtype, 200, 96, 3));
    for (int64_t r = 0; r < 200; ++r) inputs[r * 96 + 5] = 0.0f;
    Hessian hessian(96);
    hessian.Add(Matrix(dtype, {200, 96}, inputs).view());
    const GptqOptions options{.bits = 4, .group_size = 32};
    const GptqFactor factor(hessian.Value().view(), options.percdamp, dtype);
    EXPECT_EQ(factor.unseen(), std::vector<int64_t>{5});
    for (const Tensor* const w : {&q, &k}) {
      const GptqResult shared = Gptq(w->view(), factor, options);
      const GptqResult alone = Gptq(w->view(), hessian.Value().view(), options);
      EXPECT_EQ(Ints(shared.q), Ints(alone.q));
      EXPECT_EQ(Values(shared.scale), Values(alone.scale));
      EXPECT_EQ(shared.loss, alone.loss);
    }
    const auto value = Values(hessian.Value());
    EXPECT_EQ(value, Values(std::move(hessian).TakeValue()));
  }
}

TEST(Gptq, RefusesAFactorOfAnotherKind) {
  Hessian hessian(12);
  hessian.Add(Inputs(DType::kF32, 40, 12, 1).view());
  const Tensor h = hessian.Value();
  const GptqFactor factor(h.view(), 0.01f, DType::kF32);
  EXPECT_THROW(Gptq(Random(DType::kBF16, {4, 12}, 1).view(), factor, {}), Error);
  EXPECT_THROW(Gptq(Random(DType::kF32, {4, 11}, 1).view(), factor, {}), Error);
  EXPECT_THROW(Gptq(Random(DType::kF32, {4, 12}, 1).view(), factor, {.percdamp = 0.02f}), Error);
}

TEST(Gptq, SameBytesAtAnyThreadCount) {
  const Tensor w = Random(DType::kBF16, {130, 300}, 1), x = Inputs(DType::kBF16, 400, 300, 2);
  std::vector<std::vector<int>> results;
  for (const int threads : {1, 3}) {
    SetComputeThreads(threads);
    Hessian hessian(300);
    hessian.Add(x.view());
    results.push_back(Ints(Gptq(w.view(), hessian.Value().view(), {.bits = 4, .group_size = 60}).q));
  }
  SetComputeThreads(0);
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace modelslim
