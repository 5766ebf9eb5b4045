#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/float16.h"
#include "tensor/fp8.h"
#include "tensor/tensor.h"

namespace modelslim {
namespace {

// Nearest value of a small format by search over all its codes, ties to the even code: slow and obviously right.
template <class Decode>
uint32_t NearestCode(float value, uint32_t codes, Decode decode) {
  uint32_t best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (uint32_t code = 0; code < codes; ++code) {
    const double candidate = decode(code);
    if (std::isnan(candidate) || std::isinf(candidate)) continue;
    const double error = std::fabs(candidate - value);
    if (error < best_error || (error == best_error && code % 2 == 0)) best = code, best_error = error;
  }
  return best;
}

TEST(Float16, RoundTripsEveryCode) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const F16 half{static_cast<uint16_t>(code)};
    if (!std::isnan(ToF32(half))) {
      EXPECT_EQ(ToF16(ToF32(half)).bits, code);
    }
    const BF16 brain{static_cast<uint16_t>(code)};
    if (!std::isnan(ToF32(brain))) {
      EXPECT_EQ(ToBF16(ToF32(brain)).bits, code);
    }
  }
}

TEST(Float16, NearestEvenIncludingSubnormals) {
  const auto decode = [](uint32_t code) { return static_cast<double>(ToF32(F16{static_cast<uint16_t>(code)})); };
  for (const float value : {0.f, 1e-8f, 2.98e-8f, 2.9802322e-8f, 6e-8f, 8.9e-8f, 5.9e-5f, 6.1e-5f, 1.00048828f,
                            1.0014648f, 3.3333f, 1234.56f, 65503.9f}) {
    EXPECT_EQ(ToF16(value).bits, NearestCode(value, 0x7c00, decode)) << value;
  }
  EXPECT_EQ(ToF16(65519.9f).bits, 0x7bff);
  EXPECT_EQ(ToF16(65520.f).bits, 0x7c00);
  EXPECT_EQ(ToF32(F16{1}), 0x1p-24f);
}

TEST(Float16, BF16TiesToEven) {
  EXPECT_EQ(ToBF16(1.00390625f).bits, 0x3f80);
  EXPECT_EQ(ToBF16(1.01171875f).bits, 0x3f82);
  EXPECT_TRUE(std::isnan(ToF32(ToBF16(std::nanf("")))));
}

TEST(Fp8, NearestEvenForAllMagnitudes) {
  const auto decode = [](uint32_t code) { return static_cast<double>(E4M3ToF32(static_cast<uint8_t>(code))); };
  for (float value = 1e-4f; value < 448.f; value *= 1.013f) {
    EXPECT_EQ(F32ToE4M3(value), NearestCode(value, 0x7f, decode)) << value;
    EXPECT_EQ(F32ToE4M3(-value), NearestCode(value, 0x7f, decode) | 0x80) << value;
  }
  for (uint32_t code = 0; code < 0x7e; ++code) {  // midpoints: ties
    const float low = E4M3ToF32(static_cast<uint8_t>(code)), high = E4M3ToF32(static_cast<uint8_t>(code + 1));
    EXPECT_EQ(F32ToE4M3((low + high) / 2), code + code % 2);
  }
  EXPECT_EQ(F32ToE4M3(448.f), 0x7e);
  EXPECT_EQ(F32ToE4M3(463.f), 0x7e);
  EXPECT_EQ(F32ToE4M3(std::nanf("")) & 0x7f, 0x7f);
}

TEST(Tensor, ConvertsAndViews) {
  Tensor a(DType::kF32, {3, 2});
  for (int i = 0; i < 6; ++i) a.as<float>()[i] = static_cast<float>(i) + 0.125f;
  const Tensor b = ConvertTo(a.view(), DType::kBF16);
  EXPECT_EQ(ElementAsF32(b.view(), 5), 5.125f);
  const ConstView row = a.view().Rows(1, 2);
  EXPECT_EQ(row.rows(), 1);
  EXPECT_EQ(row.as<float>()[1], 3.125f);
}

}  // namespace
}  // namespace modelslim
