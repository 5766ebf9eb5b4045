#include "quant/moments/cholesky.h"

#include <gmock/gmock.h>

#include "base/parallel.h"
#include "quant/rewrite_testing.h"

namespace modelslim {
namespace {

using testing::Matrix;
using testing::Random;
using testing::Values;

// X' X / rows + 0.05 I.
Tensor Definite(int64_t n, uint32_t seed) {
  const int64_t rows = 2 * n + 3;
  const auto x = Values(Random(DType::kF32, {rows, n}, seed));
  std::vector<float> h(n * n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 0.05 * static_cast<double>(rows) : 0.0;
      for (int64_t r = 0; r < rows; ++r) sum += static_cast<double>(x[r * n + i]) * x[r * n + j];
      h[i * n + j] = h[j * n + i] = static_cast<float>(sum / static_cast<double>(rows));
    }
  }
  return Matrix(DType::kF32, {n, n}, h);
}

double At(const Tensor& a, int64_t i, int64_t j) { return a.as<float>()[i * a.view().cols() + j]; }

TEST(Cholesky, UpperFactorOfTheInverse) {
  for (const int64_t n : {1, 2, 7, 64, 255, 256, 257, 600}) {
    const Tensor h = Definite(n, static_cast<uint32_t>(n));
    const Tensor u = InverseUpperFactor(h.view());
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_GT(At(u, i, i), 0);
      for (int64_t j = 0; j < i; ++j) ASSERT_EQ(At(u, i, j), 0) << n;
    }
    // U H U' = I for H^-1 = U' U.
    const auto uh = testing::Product(Values(u), Values(h), n, n, n);
    for (int64_t i = 0; i < n; i += std::max<int64_t>(1, n / 40)) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < n; ++k) sum += uh[i * n + k] * At(u, j, k);
        ASSERT_NEAR(sum, i == j ? 1.0 : 0.0, 2e-4) << n << ": " << i << ", " << j;
      }
    }
  }
}

TEST(Cholesky, Inverse) {
  for (const int64_t n : {1, 3, 130, 300, 520}) {
    const Tensor h = Definite(n, static_cast<uint32_t>(n));
    const auto product = testing::Product(Values(InversePositiveDefinite(h.view())), Values(h), n, n, n);
    for (int64_t i = 0; i < n * n; ++i) ASSERT_NEAR(product[i], i / n == i % n ? 1.0 : 0.0, 2e-4) << n;
  }
}

TEST(Cholesky, ReadsTheLowerTriangleOnly) {
  Tensor h = Definite(40, 1);
  const auto clean = Values(InverseUpperFactor(h.view())), inverse = Values(InversePositiveDefinite(h.view()));
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = i + 1; j < 40; ++j) h.as<float>()[i * 40 + j] = std::nanf("");
  }
  EXPECT_EQ(Values(InverseUpperFactor(h.view())), clean);
  EXPECT_EQ(Values(InversePositiveDefinite(h.view())), inverse);
}

TEST(Cholesky, NamesTheBadPivot) {
  Tensor h = Definite(300, 2);
  h.as<float>()[7 * 300 + 7] = -1;
  const auto message = [&](const auto& f) -> std::string {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message([&] { InverseUpperFactor(h.view(), "the Hessian of a.b"); }),
              ::testing::StartsWith("the Hessian of a.b is not positive definite: pivot 7 is"));
  EXPECT_THAT(message([&] { InversePositiveDefinite(h.view(), "m"); }),
              ::testing::StartsWith("m is not positive definite: pivot 7 is"));
  h.as<float>()[7 * 300 + 7] = std::nanf("");
  EXPECT_THROW(InverseUpperFactor(h.view()), Error);
  EXPECT_THROW(InverseUpperFactor(Tensor::Zeros(DType::kF32, {2, 3}).view()), Error);
  EXPECT_THROW(InverseUpperFactor(Tensor::Zeros(DType::kBF16, {2, 2}).view()), Error);
}

TEST(Cholesky, SameBytesAtAnyThreadCount) {
  const Tensor h = Definite(700, 3);
  SetComputeThreads(1);
  const auto one = Values(InverseUpperFactor(h.view())), inverse = Values(InversePositiveDefinite(h.view()));
  SetComputeThreads(3);
  EXPECT_EQ(Values(InverseUpperFactor(h.view())), one);
  EXPECT_EQ(Values(InversePositiveDefinite(h.view())), inverse);
  SetComputeThreads(0);
}

}  // namespace
}  // namespace modelslim
