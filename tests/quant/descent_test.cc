#include "quant/moments/descent.h"

#include <gmock/gmock.h>

#include <cmath>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "quant/moments/gptq.h"
#include "quant/rewrite_testing.h"

namespace modelslim {
namespace {

using testing::Random;
using testing::Values;

struct Case {
  DType dtype;
  int64_t rows, columns, group;
  int bits;
};

std::vector<int> Codes(const Tensor& q) { return {q.as<int8_t>(), q.as<int8_t>() + q.size()}; }

Tensor MomentOf(int64_t columns, int64_t tokens) {
  Hessian hessian(columns);
  hessian.Add(Random(DType::kF32, {tokens, columns}, 3).view());
  return hessian.Value();
}

// Of one row: (w - s q) (H + damping mean(diag H)) (w - s q)'.
double ErrorOf(const std::vector<double>& e, const Tensor& h, double damping) {
  const auto n = static_cast<int64_t>(e.size());
  const float* const moment = h.as<float>();
  double mean = 0, sum = 0;
  for (int64_t i = 0; i < n; ++i) mean += moment[i * n + i] / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) sum += e[i] * e[j] * (moment[i * n + j] + (i == j ? damping * mean : 0.0));
  }
  return sum;
}

class DescentTest : public ::testing::TestWithParam<Case> {};

TEST_P(DescentTest, NoSingleCodeCouldBeBetter) {
  const Case& c = GetParam();
  const Tensor weight = Random(c.dtype, {c.rows, c.columns}, 1), moment = MomentOf(c.columns, 2 * c.columns);
  const DescentOptions options{.bits = c.bits, .group_size = c.group, .passes = 100};
  const DescentResult result = Descend(weight.view(), moment.view(), options);
  const int64_t groups = c.group > 0 ? c.columns / c.group : 1, width = c.columns / groups;
  ASSERT_EQ(result.scale.shape(), (Shape{c.rows, groups}));
  EXPECT_EQ(result.scale.dtype(), c.group > 0 ? DType::kF32 : c.dtype);
  const std::vector<float> w = Values(weight), scale = Values(result.scale);
  const int8_t* const q = result.q.as<int8_t>();
  const int top = (1 << (c.bits - 1)) - 1;
  double total = 0;
  for (int64_t r = 0; r < c.rows; ++r) {
    std::vector<double> e;
    for (int64_t j = 0; j < c.columns; ++j) {
      const int64_t at = r * c.columns + j;
      ASSERT_GE(q[at], -top - 1);
      ASSERT_LE(q[at], top);
      e.push_back(static_cast<double>(w[at]) - static_cast<double>(scale[r * groups + j / width]) * q[at]);
    }
    const double reached = ErrorOf(e, moment, options.damping);
    total += reached;
    for (int64_t j = 0; j < c.columns; ++j) {
      for (const int step : {-1, 1}) {
        const int code = q[r * c.columns + j] + step;
        if (code < -top - 1 || code > top) continue;
        std::vector<double> other = e;
        other[j] -= step * static_cast<double>(scale[r * groups + j / width]);
        EXPECT_GE(ErrorOf(other, moment, options.damping), reached * (1 - 1e-5)) << r << " " << j << " " << step;
      }
    }
  }
  EXPECT_NEAR(result.after, total, 1e-3 * total);
  EXPECT_LT(result.after, 0.95 * result.before);  // the inputs are random, so there is something to gain
}

TEST_P(DescentTest, SameBytesAtAnyThreadCount) {
  const Case& c = GetParam();
  const Tensor weight = Random(c.dtype, {c.rows, c.columns}, 1), moment = MomentOf(c.columns, c.columns);
  const DescentOptions options{.bits = c.bits, .group_size = c.group};
  std::vector<std::vector<int>> codes;
  for (const int threads : {1, 3}) {
    SetComputeThreads(threads);
    codes.push_back(Codes(Descend(weight.view(), moment.view(), options).q));
  }
  SetComputeThreads(0);
  EXPECT_EQ(codes[0], codes[1]);
}

INSTANTIATE_TEST_SUITE_P(Sizes, DescentTest,
                         ::testing::Values(Case{DType::kF32, 5, 24, 0, 4}, Case{DType::kBF16, 37, 33, 0, 4},
                                           Case{DType::kF16, 1, 40, 0, 8}, Case{DType::kBF16, 18, 36, 12, 4},
                                           Case{DType::kF32, 3, 30, 10, 8}));

TEST(Descent, WithoutInputsItIsPlainRounding) {
  const Tensor weight = Random(DType::kF32, {3, 8}, 5), nothing = Tensor::Zeros(DType::kF32, {8, 8});
  const DescentResult result = Descend(weight.view(), nothing.view(), {});
  EXPECT_EQ(result.passes, 0);
  for (int64_t r = 0; r < 3; ++r) {
    float largest = 0;
    for (int64_t c = 0; c < 8; ++c) largest = std::max(largest, std::fabs(weight.as<float>()[r * 8 + c]));
    EXPECT_FLOAT_EQ(result.scale.as<float>()[r], largest / 7);
    for (int64_t c = 0; c < 8; ++c) {
      EXPECT_EQ(result.q.as<int8_t>()[r * 8 + c],
                std::nearbyint(weight.as<float>()[r * 8 + c] / result.scale.as<float>()[r]));
    }
  }
}

TEST(Descent, ARowOfZerosStaysOne) {
  const Tensor weight = Tensor::Zeros(DType::kBF16, {2, 6});
  const DescentResult result = Descend(weight.view(), MomentOf(6, 9).view(), {});
  for (const int code : Codes(result.q)) EXPECT_EQ(code, 0);
  for (const float scale : Values(result.scale)) EXPECT_GT(scale, 0);
}

TEST(Descent, RefusesWhatDoesNotFit) {
  const Tensor weight = Random(DType::kF32, {3, 8}, 5);
  EXPECT_THROW(Descend(weight.view(), MomentOf(7, 9).view(), {}), Error);
  EXPECT_THROW(Descend(weight.view(), MomentOf(8, 9).view(), {.group_size = 3}), Error);
  EXPECT_THROW(Descend(weight.view(), MomentOf(8, 9).view(), {.bits = 5}), Error);
}

}  // namespace
}  // namespace modelslim
