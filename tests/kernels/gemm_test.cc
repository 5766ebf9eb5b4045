#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <tuple>

#include "base/parallel.h"
#include "kernels/backend.h"
#include "kernels/native/blocked_gemm.h"
#include "kernels/onednn/onednn_gemm.h"
#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

// The product in f64: what every kernel approximates.
std::vector<double> Exact(const ConstView& x, const ConstView& w, const ConstView& bias) {
  const int64_t m = x.rows(), n = w.dim(0), k = w.dim(1);
  const Tensor wide_x = ConvertTo(x, DType::kF32), wide_w = ConvertTo(w, DType::kF32);
  const float *a = wide_x.as<float>(), *b = wide_w.as<float>();
  std::vector<double> y(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = bias.data != nullptr ? ElementAsF32(bias, j) : 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<double>(a[i * k + p]) * static_cast<double>(b[j * k + p]);
      y[i * n + j] = sum;
    }
  }
  return y;
}

// Inputs are of order 1, so a sum of k products in f32 errs by about sqrt(k) * 2^-24 * sqrt(k); eight times that never
// fails by chance and is far below one lost product. Rounding to y's type adds half a unit in its last place.
void ExpectClose(const ConstView& y, const std::vector<double>& exact, int64_t k, const std::string& what) {
  const double unit = y.dtype == DType::kBF16 ? 0x1p-8 : y.dtype == DType::kF16 ? 0x1p-11 : 0x1p-24;
  for (int64_t i = 0; i < y.size(); ++i) {
    const double allowed = 8 * 0x1p-24 * (static_cast<double>(k) + 1) + unit * std::fabs(exact[i]);
    ASSERT_NEAR(ElementAsF32(y, i), exact[i], allowed) << what << " element " << i << " k " << k;
  }
}

// oneDNN is tested wherever it can work, not only where it is chosen.
bool Usable(const GemmBackend& backend, DType x_dtype, DType w_dtype) {
  return backend.name == "onednn" ? OneDnnCannot(x_dtype, w_dtype).empty() : backend.declines(x_dtype, w_dtype).empty();
}

using Case = std::tuple<DType, DType, DType>;  // x, w, y
class LinearTypes : public testing::TestWithParam<Case> {};

TEST_P(LinearTypes, EveryBackendAgreesWithF64) {
  const auto [x_dtype, w_dtype, y_dtype] = GetParam();
  for (const auto& [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                {1, 50, 3},
                                {3, 7, 64},
                                {17, 49, 385},
                                {9, 48, 767},
                                {5, 100, 33},
                                {50, 16, 256},
                                {241, 97, 130}}) {
    const Tensor x = RandomTensor(x_dtype, {m, k}, 1), w = RandomTensor(w_dtype, {n, k}, 2),
                 bias = RandomTensor(y_dtype, {n}, 3);
    for (const ConstView& b : {ConstView{}, bias.view()}) {
      const std::vector<double> exact = Exact(x.view(), w.view(), b);
      for (const GemmBackend& backend : GemmBackends()) {
        if (!Usable(backend, x_dtype, w_dtype)) continue;
        Tensor y(y_dtype, {m, n});
        backend.pack(w.view(), x_dtype)->Apply(x.view(), b, y.view());
        ExpectClose(y.view(), exact, k, std::string(backend.name));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Types, LinearTypes,
    testing::Values(Case{DType::kBF16, DType::kBF16, DType::kBF16}, Case{DType::kBF16, DType::kBF16, DType::kF32},
                    Case{DType::kF32, DType::kF32, DType::kF32}, Case{DType::kF16, DType::kF16, DType::kF16},
                    Case{DType::kF32, DType::kBF16, DType::kF32}, Case{DType::kBF16, DType::kF32, DType::kBF16},
                    Case{DType::kF16, DType::kBF16, DType::kF16}));

bool SameBits(const ConstView& a, const ConstView& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

TEST(Gemm, RowsDoNotDependOnOtherRows) {
  for (const DType dtype : {DType::kBF16, DType::kF32, DType::kF16}) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{200, 800}, {48, 1031}, {577, 64}}) {
      const int64_t m = 1000;
      const Tensor x = RandomTensor(dtype, {m, k}, 4), w = RandomTensor(dtype, {n, k}, 5);
      for (const GemmBackend& backend : GemmBackends()) {
        if (backend.name == "reference" || !Usable(backend, dtype, dtype)) continue;
        const auto packed = backend.pack(w.view(), dtype);
        Tensor all(DType::kF32, {m, n});
        packed->Apply(x.view(), {}, all.view());
        for (const int64_t count : {1, 2, 7, 8, 31, 500}) {
          for (const int64_t begin : {int64_t{0}, int64_t{5}, m - count}) {
            Tensor some(DType::kF32, {count, n});
            packed->Apply(x.view().Rows(begin, begin + count), {}, some.view());
            EXPECT_TRUE(SameBits(some.view(), all.view().Rows(begin, begin + count)))
                << backend.name << " " << DTypeName(dtype) << " rows " << count << " from " << begin << " n " << n
                << " k " << k;
          }
        }
      }
    }
  }
}

// What VDPBF16PS does: the second product of every pair of k is added first.
float PairChain(const ConstView& x, int64_t i, const ConstView& w, int64_t j) {
  const int64_t k = x.cols();
  float sum = 0;
  const auto add = [&](int64_t at) { sum = std::fma(ElementAsF32(x, i * k + at), ElementAsF32(w, j * k + at), sum); };
  for (int64_t at = 0; at + 1 < k; at += 2) add(at + 1), add(at);
  if (k % 2 != 0) add(k - 1);
  return sum;
}

// Up to one block of k the f32 kernels multiply bf16 matrices as the instructions for bf16 do.
TEST(Gemm, BF16InF32HasTheOrderOfTheBF16Instructions) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{50, 1}, {7, 2}, {100, 33}, {48, 97}, {65, 256}, {20, 511}}) {
    const Tensor x = RandomTensor(DType::kBF16, {19, k}, 4), w = RandomTensor(DType::kBF16, {n, k}, 5);
    for (const GemmBackend& backend : GemmBackends()) {
      if (!backend.name.starts_with("native") || !Usable(backend, DType::kBF16, DType::kBF16)) continue;
      Tensor y(DType::kF32, {19, n});
      backend.pack(w.view(), DType::kBF16)->Apply(x.view(), {}, y.view());
      for (int64_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y.as<float>()[i], PairChain(x.view(), i / n, w.view(), i % n))
            << backend.name << " n " << n << " k " << k;
      }
    }
  }
}

TEST(Gemm, BitsDoNotDependOnThreads) {
  const Tensor x = RandomTensor(DType::kBF16, {300, 500}, 6), w = RandomTensor(DType::kBF16, {130, 500}, 7);
  const Tensor a = RandomTensor(DType::kF32, {700, 130}, 8);
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 5}) {
    SetComputeThreads(threads);
    Tensor y(DType::kBF16, {300, 130}), h(DType::kF32, {130, 130});
    Linear(x.view(), w.view(), {}, y.view());
    MatMul(a.view(), a.view(), h.view(), {.transpose_a = true});
    results.push_back(std::move(y));
    results.push_back(std::move(h));
  }
  SetComputeThreads(0);
  for (size_t i = 2; i < results.size(); ++i) EXPECT_TRUE(SameBits(results[i].view(), results[i % 2].view())) << i;
}

TEST(Gemm, PackedEqualsUnpackedEvenWhenSliced) {
  // Large enough that Linear works slice by slice.
  const int64_t m = 3, n = 2500, k = 12000;
  const Tensor x = RandomTensor(DType::kBF16, {m, k}, 9), w = RandomTensor(DType::kBF16, {n, k}, 10);
  const Tensor bias = RandomTensor(DType::kF32, {n}, 11);
  Tensor once(DType::kF32, {m, n}), packed(DType::kF32, {m, n});
  Linear(x.view(), w.view(), bias.view(), once.view());
  PackedWeight(w.view(), DType::kBF16).Apply(x.view(), bias.view(), packed.view());
  EXPECT_TRUE(SameBits(once.view(), packed.view()));
}

TEST(Gemm, NonFiniteInputsStayInTheirRowAndColumn) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    Tensor x = RandomTensor(dtype, {9, 33}, 12), w = RandomTensor(dtype, {50, 33}, 13);
    const auto poison = [&](Tensor& tensor, int64_t index, float value) {
      WithModelDType(dtype, [&](auto type) { tensor.as<decltype(type)>()[index] = From<decltype(type)>(value); });
    };
    poison(x, 4 * 33 + 32, NAN);
    poison(x, 5 * 33, INFINITY);
    poison(w, 7 * 33 + 32, INFINITY);
    for (const GemmBackend& backend : GemmBackends()) {
      if (!Usable(backend, dtype, dtype)) continue;
      Tensor y(DType::kF32, {9, 50});
      backend.pack(w.view(), dtype)->Apply(x.view(), {}, y.view());
      for (int64_t i = 0; i < 9; ++i) {
        for (int64_t j = 0; j < 50; ++j) {
          const float value = y.as<float>()[i * 50 + j];
          EXPECT_EQ(std::isfinite(value), i != 4 && i != 5 && j != 7) << backend.name << " " << i << "," << j;
        }
      }
    }
  }
}

TEST(Gemm, NoRowsNoColumnsOfTheSum) {
  const Tensor w = RandomTensor(DType::kBF16, {5, 3}, 14);
  Tensor y(DType::kBF16, {0, 5});
  Linear({nullptr, DType::kBF16, {0, 3}}, w.view(), {}, y.view());
  Tensor empty_x(DType::kF32, {2, 0}), empty_w(DType::kF32, {4, 0}), c(DType::kF32, {2, 4});
  c.as<float>()[3] = NAN;
  MatMul(empty_x.view(), empty_w.view(), c.view(), {.transpose_b = true});
  EXPECT_EQ(c.as<float>()[3], 0.0f);
}

TEST(Gemm, EveryMicroKernelOfThisMachine) {
  std::vector<const MicroKernel*> kernels{&ScalarMicroKernel()};
  for (const MicroKernel& kernel : ArchMicroKernels()) {
    if (kernel.supported()) kernels.push_back(&kernel);
  }
  for (const MicroKernel* kernel : kernels) {
    for (const auto& [m, n, k] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {8, 48, 512}, {13, 101, 700}, {37, 15, 5}}) {
      const Tensor x = RandomTensor(kernel->compute, {m, k}, 15), w = RandomTensor(kernel->compute, {n, k}, 16);
      Tensor y(DType::kF32, {m, n});
      PackNative(*kernel, w.view(), false)->Apply(x.view(), {}, y.view());
      ExpectClose(y.view(), Exact(x.view(), w.view(), {}), k, kernel->name);
    }
  }
}

class MatMulCases : public testing::TestWithParam<std::tuple<bool, bool, float, float>> {};

TEST_P(MatMulCases, AgreesWithF64) {
  const auto [ta, tb, alpha, beta] = GetParam();
  for (const auto& [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {7, 50, 20}, {65, 33, 600}, {130, 260, 17}}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Tensor a = RandomTensor(dtype, ta ? Shape{k, m} : Shape{m, k}, 17);
      const Tensor b = RandomTensor(DType::kF32, tb ? Shape{n, k} : Shape{k, n}, 18);
      const Tensor start = RandomTensor(DType::kF32, {m, n}, 19);
      Tensor c = start.Clone();
      if (beta == 0) std::fill(c.as<float>(), c.as<float>() + c.size(), NAN);
      MatMul(a.view(), b.view(), c.view(), {ta, tb, alpha, beta});
      const Tensor wide = ConvertTo(a.view(), DType::kF32);
      const float *left = wide.as<float>(), *right = b.as<float>();
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t p = 0; p < k; ++p) {
            sum += static_cast<double>(left[ta ? p * m + i : i * k + p]) *
                   static_cast<double>(right[tb ? j * k + p : p * n + j]);
          }
          const double exact = alpha * sum + beta * static_cast<double>(start.as<float>()[i * n + j]);
          ASSERT_NEAR(c.as<float>()[i * n + j], exact,
                      8 * 0x1p-24 * static_cast<double>(k + 1) * std::max(1.0f, std::fabs(alpha)))
              << m << "x" << n << "x" << k << " at " << i << "," << j;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Options, MatMulCases,
                         testing::Combine(testing::Bool(), testing::Bool(), testing::Values(1.0f, -0.5f),
                                          testing::Values(0.0f, 1.0f, 0.25f)));

TEST(Gemm, AMatrixTimesItsTransposeHasTheBitsOfTheGeneralProduct) {
  for (const int64_t n : {1, 63, 500}) {
    const Tensor x = RandomTensor(DType::kF32, {700, n}, 20), copy = x.Clone();
    Tensor half(DType::kF32, {n, n}), full(DType::kF32, {n, n});
    std::fill(half.as<float>(), half.as<float>() + n * n, NAN);
    MatMul(x.view(), x.view(), half.view(), {.transpose_a = true, .alpha = 0.5f});
    MatMul(x.view(), copy.view(), full.view(), {.transpose_a = true, .alpha = 0.5f});
    EXPECT_TRUE(SameBits(half.view(), full.view())) << n;
  }
}

TEST(Gemm, ListsItsKernelsWithReasons) {
  const std::vector<KernelChoice> choices = GemmKernels(DType::kF16, DType::kF16);
  ASSERT_GE(choices.size(), 3u);
  EXPECT_EQ(choices.back().name, "reference");
  EXPECT_EQ(choices.back().declines_because, "");
  EXPECT_NE(choices.front().declines_because, "");
}

}  // namespace
}  // namespace modelslim
