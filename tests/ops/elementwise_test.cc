#include "ops/elementwise.h"

#include <gtest/gtest.h>

#include <functional>

#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

constexpr DType kB = DType::kBF16, kF = DType::kF32, kH = DType::kF16;

void ExpectEach(const ConstView& y, const std::function<float(int64_t)>& expected) {
  for (int64_t i = 0; i < y.size(); ++i) ASSERT_EQ(ElementAsF32(y, i), expected(i)) << i;
}

using Types = std::tuple<DType, DType>;
class Elementwise : public testing::TestWithParam<Types> {
 protected:
  static constexpr int64_t kRows = 31, kCols = 67;  // more than one piece, the last one odd
  Elementwise()
      : a_(RandomTensor(std::get<0>(GetParam()), {kRows, kCols}, 1)),
        b_(RandomTensor(std::get<1>(GetParam()), {kRows, kCols}, 2)),
        result_(Promote(a_.dtype(), b_.dtype())) {}
  float A(int64_t i) const { return ElementAsF32(a_.view(), i); }
  float B(int64_t i) const { return ElementAsF32(b_.view(), i); }
  Tensor a_, b_;
  DType result_;
};

TEST_P(Elementwise, Binary) {
  Tensor y(result_, {kRows, kCols});
  Add(a_.view(), b_.view(), y.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(result_, A(i) + B(i)); });
  Subtract(a_.view(), b_.view(), y.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(result_, A(i) - B(i)); });
  Multiply(a_.view(), b_.view(), y.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(result_, A(i) * B(i)); });
  Tensor wide(kF, {kRows, kCols});  // the rounding stays when the output is wider
  Multiply(a_.view(), b_.view(), wide.view());
  EXPECT_EQ(MaxDifference(wide.view(), y.view()), 0);
  Tensor in_place = a_.Clone();
  Add(in_place.view(), in_place.view(), in_place.view());
  ExpectEach(in_place.view(), [&](int64_t i) { return 2 * A(i); });
}

TEST_P(Elementwise, SiluMulRoundsTwice) {
  Tensor y(result_, {kRows, kCols}), activated(a_.dtype(), {kRows, kCols});
  SiluMul(a_.view(), b_.view(), y.view());
  Activate(Activation::kSilu, a_.view(), activated.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(result_, ElementAsF32(activated.view(), i) * B(i)); });
}

TEST_P(Elementwise, ScaleRowsAndColumns) {
  const Tensor s = RandomTensor(b_.dtype(), {kCols}, 3), r = RandomTensor(b_.dtype(), {kRows}, 4);
  Tensor y = a_.Clone();
  ScaleColumns(y.view(), s.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(a_.dtype(), A(i) * ElementAsF32(s.view(), i % kCols)); });
  y = a_.Clone();
  ScaleRows(y.view(), r.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(a_.dtype(), A(i) * ElementAsF32(r.view(), i / kCols)); });
  y = a_.Clone();
  AddToRows(y.view(), s.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(a_.dtype(), A(i) + ElementAsF32(s.view(), i % kCols)); });
  y = a_.Clone();
  Scale(y.view(), 0.1f);
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo(a_.dtype(), A(i) * RoundTo(a_.dtype(), 0.1f)); });
}

INSTANTIATE_TEST_SUITE_P(DTypes, Elementwise,
                         testing::Values(Types{kB, kB}, Types{kF, kB}, Types{kB, kF}, Types{kF, kF}, Types{kH, kH},
                                         Types{kB, kH}));

TEST(Activations, AgreeWithTheirFormulas) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const std::pair<const char*, std::function<double(double)>> kCases[] = {
      {"silu", [&](double x) { return x * sigmoid(x); }},
      {"gelu", [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"gelu_pytorch_tanh",
       [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }},
      {"quick_gelu", [&](double x) { return x * sigmoid(1.702 * x); }},
      {"relu", [](double x) { return std::max(x, 0.0); }},
      {"sigmoid", sigmoid},
      {"tanh", [](double x) { return std::tanh(x); }},
      {"linear", [](double x) { return x; }}};
  Tensor x(kF, {4001}), y(kF, {4001});
  for (int i = 0; i <= 4000; ++i) x.as<float>()[i] = static_cast<float>(i - 2000) * 0.005f;
  for (const auto& [name, formula] : kCases) {
    Activate(*ParseActivation(name), x.view(), y.view());
    for (int i = 0; i <= 4000; ++i) {
      const double exact = formula(static_cast<double>(x.as<float>()[i]));
      ASSERT_NEAR(y.as<float>()[i], exact, 1e-6 * std::fabs(exact) + 2e-7) << name << " " << x.as<float>()[i];
    }
  }
  EXPECT_EQ(ParseActivation("gelu_newer"), std::nullopt);
}

TEST(Activations, ExtremesAreFinite) {
  Tensor x(kF, {3}), y(kF, {3});
  x.as<float>()[0] = -1000, x.as<float>()[1] = 1000, x.as<float>()[2] = NAN;
  Activate(Activation::kSilu, x.view(), y.view());
  EXPECT_EQ(y.as<float>()[0], 0.0f);
  EXPECT_EQ(y.as<float>()[1], 1000.0f);
  EXPECT_TRUE(std::isnan(y.as<float>()[2]));
}

TEST(Activations, GatedWithoutRounding) {
  const Tensor gate = RandomTensor(kB, {100}, 5), up = RandomTensor(kB, {100}, 6);
  Tensor y(kB, {100}), silu(kF, {100});
  ActivateMulF32(Activation::kSilu, gate.view(), up.view(), y.view());
  Activate(Activation::kSilu, ConvertTo(gate.view(), kF).view(), silu.view());
  ExpectEach(y.view(), [&](int64_t i) { return RoundTo<BF16>(silu.as<float>()[i] * ElementAsF32(up.view(), i)); });
}

TEST(Softmax, RowsSumToOne) {
  const Tensor x = RandomTensor(kB, {20, 33}, 7, 5.0f);
  Tensor y(kF, {20, 33});
  SoftmaxRows(x.view(), y.view());
  for (int64_t r = 0; r < 20; ++r) {
    double sum = 0, max = -1e9;
    for (int c = 0; c < 33; ++c) max = std::max(max, static_cast<double>(ElementAsF32(x.view(), r * 33 + c)));
    for (int c = 0; c < 33; ++c) sum += std::exp(static_cast<double>(ElementAsF32(x.view(), r * 33 + c)) - max);
    for (int c = 0; c < 33; ++c) {
      const double exact = std::exp(static_cast<double>(ElementAsF32(x.view(), r * 33 + c)) - max) / sum;
      EXPECT_NEAR(y.as<float>()[r * 33 + c], exact, 1e-6 * exact + 1e-12);
    }
  }
}

}  // namespace
}  // namespace modelslim
