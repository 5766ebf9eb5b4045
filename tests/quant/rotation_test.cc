#include "quant/rotation/rotation.h"

#include <gmock/gmock.h>

#include "base/parallel.h"
#include "quant/rewrite_testing.h"
#include "quant/rotation/rotation_apply.h"
#include "quant/rotation/rotation_norm.h"

namespace modelslim {
namespace {

using testing::ExpectNear;
using testing::LinearF64;
using testing::Matrix;
using testing::Product;
using testing::Random;
using testing::Values;

std::vector<float> Transposed(const std::vector<float>& a, int64_t rows, int64_t cols) {
  std::vector<float> t(a.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) t[j * rows + i] = a[i * cols + j];
  }
  return t;
}

// blockdiag(r, r, ...) of the wanted size.
std::vector<float> Repeated(const Rotation& rotation, int64_t dim) {
  const auto r = Values(rotation.Dense());
  const int64_t n = rotation.size();
  std::vector<float> all(dim * dim, 0.0f);
  for (int64_t i = 0; i < dim; ++i) {
    for (int64_t j = 0; j < n; ++j) all[i * dim + i / n * n + j] = r[i % n * n + j];
  }
  return all;
}

void ExpectOrthogonal(const Rotation& rotation) {
  const int64_t n = rotation.size();
  const auto r = Values(rotation.Dense());
  const auto product = Product(r, Transposed(r, n, n), n, n, n);
  for (int64_t i = 0; i < n * n; ++i) ASSERT_NEAR(product[i], i / n == i % n ? 1.0 : 0.0, 1e-5) << n;
}

std::vector<Rotation> AllKinds() {
  RotationOptions blocks{.block_size = 16}, shifted{.mode = RotationMode::kBlockHadamardShifted};
  RotationOptions step2 = shifted, step3 = shifted, gaps = shifted, tiny{.block_size = 4};
  step2.rot_step = 2;
  step3.rot_step = 3;
  gaps.identity_blocks = {2, 0};
  std::vector<Rotation> kinds;
  for (const int64_t n : {1, 2, 4, 8, 12, 24, 28, 40, 64, 76, 96, 128, 192, 320}) kinds.push_back(Rotation::Make(n));
  for (const RotationOptions& options : {blocks, shifted, step2, step3, gaps, tiny}) {
    kinds.push_back(Rotation::Make(128, options));
  }
  kinds.push_back(Rotation::BlockDiagonal({Rotation::Identity(7), Rotation::Make(12), kinds.back()}));
  kinds.push_back(Rotation::FromMatrix(Rotation::Make(96).Dense().view()));
  kinds.push_back(Rotation::FromMatrix(Rotation::Make(20).Dense().view()));
  kinds.push_back(Rotation::Make(192).Transposed());
  kinds.push_back(Rotation::Make(128, step2).Transposed());
  return kinds;
}

TEST(Rotation, EveryKindIsOrthogonal) {
  for (const Rotation& rotation : AllKinds()) ExpectOrthogonal(rotation);
}

TEST(Rotation, TransposedIsTheTransposedMatrix) {
  for (const Rotation& rotation : AllKinds()) {
    const int64_t n = rotation.size();
    ExpectNear(Values(rotation.Transposed().Dense()), Transposed(Values(rotation.Dense()), n, n), 1e-7);
  }
}

TEST(Rotation, FastProductsAgreeWithTheMatrix) {
  for (const Rotation& rotation : AllKinds()) {
    const int64_t n = rotation.size();
    for (const int64_t repeat : {1, 3}) {
      const int64_t dim = n * repeat;
      for (const int64_t other : {1, 5, 37}) {
        Tensor right = Random(DType::kF32, {other, dim}, 1), left = Random(DType::kF32, {dim, other}, 2);
        Tensor bias = Random(DType::kF32, {dim}, 3);
        const auto r = Repeated(rotation, dim);
        const auto expected_right = Product(Values(right), r, other, dim, dim);
        const auto expected_left = Product(Transposed(r, dim, dim), Values(left), dim, dim, other);
        const auto expected_bias = Product(Values(bias), r, 1, dim, dim);
        RotateRight(right.view(), rotation);
        RotateLeft(left.view(), bias.view(), rotation);
        ExpectNear(Values(right), expected_right, 3e-6 * std::sqrt(n), "right " + std::to_string(n));
        ExpectNear(Values(left), expected_left, 3e-6 * std::sqrt(n), "left " + std::to_string(n));
        ExpectNear(Values(bias), expected_bias, 3e-6 * std::sqrt(n), "bias " + std::to_string(n));
      }
    }
  }
}

TEST(Rotation, WorkedExample) {
  const Rotation r = Rotation::Make(4);
  EXPECT_EQ(Values(r.Dense()),
            (std::vector<float>{.5, .5, .5, .5, .5, -.5, .5, -.5, -.5, -.5, .5, .5, .5, -.5, -.5, .5}));
  Tensor gamma = Matrix(DType::kF32, {4}, {1, 2, .5, 1});
  Tensor w = Matrix(DType::kF32, {2, 4}, {1, 2, -3, 4, .5, -1, 2, 0});
  const NormParams norm{gamma.view(), {}};
  const LinearParams linear{w.view(), {}};
  FuseNorm({&norm, 1}, {&linear, 1});
  EXPECT_EQ(Values(w), (std::vector<float>{1, 4, -1.5, 4, .5, -2, 1, 0}));
  EXPECT_EQ(Values(gamma), (std::vector<float>{1, 1, 1, 1}));
  RotateRight(w.view(), r);
  EXPECT_EQ(Values(w), (std::vector<float>{5.25, -2.75, -.25, -.25, -1.25, .75, -.25, 1.75}));
  Tensor left = Matrix(DType::kF32, {4, 2}, {1, 0, 2, -1, 0, 3, -1, 1}), bias = Matrix(DType::kF32, {4}, {1, 2, 3, 4});
  RotateLeft(left.view(), bias.view(), r);
  EXPECT_EQ(Values(left), (std::vector<float>{1, -1.5, 0, -1.5, 2, .5, -1, 2.5}));
  EXPECT_EQ(Values(bias), (std::vector<float>{2, -4, 1, 3}));
}

TEST(Rotation, RowsOfTheReference) {
  const auto text = [](const Tensor& r, int64_t row) {
    std::string signs;
    for (int64_t j = 0; j < r.view().cols(); ++j) signs += r.as<float>()[row * r.view().cols() + j] > 0 ? '+' : '-';
    return signs;
  };
  const Tensor r12 = Rotation::Make(12).Dense(), r24 = Rotation::Make(24).Dense();
  EXPECT_EQ(text(r12, 0), "++++++++++++");
  EXPECT_EQ(text(r12, 1), "-++-+++---+-");
  EXPECT_EQ(text(r12, 11), "-+-+++---+-+");
  EXPECT_NEAR(r12.as<float>()[0], 0.288675, 1e-6);
  EXPECT_EQ(text(r24, 1), "+-+-+-+-+-+-+-+-+-+-+-+-");
  EXPECT_EQ(text(r24, 23), "+--++--+-+-++-+-+--++--+");
}

TEST(Rotation, ShiftedModeOfTheReference) {
  const Tensor dense = Rotation::Make(128, {.mode = RotationMode::kBlockHadamardShifted, .block_size = 32}).Dense();
  const float* const r = dense.as<float>();
  const std::vector<float> start = {-.25, .125, -.125, 0, .125, 0, 0, .125};
  for (size_t j = 0; j < start.size(); ++j) EXPECT_EQ(r[j], start[j]) << j;
  int non_zeros = 0;
  for (int j = 0; j < 128; ++j) non_zeros += r[j] != 0;
  EXPECT_EQ(non_zeros, 52);
  for (int i = 0; i < 128; ++i) {
    for (int j = 0; j < 128; ++j) {
      const float sixteenths = r[i * 128 + j] * 16;
      EXPECT_EQ(sixteenths, std::nearbyint(sixteenths));
      if (r[i * 128 + j] != 0) {
        EXPECT_TRUE(j / 32 == i / 32 || j / 32 == (i / 32 + 1) % 4) << i << " " << j;
      }
    }
  }
}

TEST(Rotation, RoundsOnceToTheWeightType) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const Rotation rotation = Rotation::Make(192);
    Tensor w = Random(dtype, {33, 384}, 5);
    Tensor wide = ConvertTo(w.view(), DType::kF32);
    RotateRight(w.view(), rotation);
    RotateRight(wide.view(), rotation);
    EXPECT_EQ(Values(w), Values(ConvertTo(wide.view(), dtype)));
    Tensor tall = Random(dtype, {384, 33}, 6);
    Tensor tall_wide = ConvertTo(tall.view(), DType::kF32);
    RotateLeft(tall.view(), {}, rotation);
    RotateLeft(tall_wide.view(), {}, rotation);
    EXPECT_EQ(Values(tall), Values(ConvertTo(tall_wide.view(), dtype)));
  }
}

TEST(Rotation, ActivationsAreTurnedByTheCastMatrix) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const Rotation& rotation :
         {Rotation::Make(24), Rotation::Make(64, {.mode = RotationMode::kBlockHadamardShifted}),
          Rotation::Make(64, {.mode = RotationMode::kBlockHadamardShifted, .rot_step = 2})}) {
      const int64_t n = rotation.size();
      Tensor x = Random(dtype, {9, n}, 7);
      const auto expected =
          Product(Values(x), Values(ConvertTo(ConvertTo(rotation.Dense().view(), dtype).view(), DType::kF32)), 9, n, n);
      RotateActivations(x.view(), rotation);
      const double ulp = dtype == DType::kBF16 ? 0x1p-8 : dtype == DType::kF16 ? 0x1p-11 : 1e-6;
      for (int64_t i = 0; i < 9 * n; ++i) {
        ASSERT_NEAR(Values(x)[i], expected[i], ulp * std::fabs(expected[i]) * 1.01 + 2e-6) << i;
      }
    }
  }
}

TEST(Rotation, SameBytesAtAnyThreadCount) {
  const Rotation rotation = Rotation::Make(320);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    SetComputeThreads(threads);
    Tensor w = Random(DType::kBF16, {640, 640}, 8);
    RotateRight(w.view(), rotation);
    RotateLeft(w.view(), {}, rotation);
    results.push_back(Values(w));
  }
  SetComputeThreads(0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

template <class F>
std::string MessageOf(const F& f, ErrorCode code) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Rotation, RefusesWhatTheReferenceDestroys) {
  using ::testing::HasSubstr;
  EXPECT_THAT(MessageOf([] { Rotation::Make(18944, {}, "hidden"); }, ErrorCode::kUnsupported),
              HasSubstr("hidden: no Hadamard matrix of order 18944"));
  EXPECT_THAT(MessageOf([] { Rotation::Make(64, {.block_size = 128}); }, ErrorCode::kMisuse),
              HasSubstr("block_size 128 does not divide"));
  EXPECT_THAT(MessageOf([] { Rotation::Make(48, {.mode = RotationMode::kBlockHadamardShifted}); }, ErrorCode::kMisuse),
              HasSubstr("32 does not divide"));
  MessageOf([] { Rotation::Make(0); }, ErrorCode::kMisuse);
  MessageOf([] { Rotation::Make(64, {.block_size = 0}); }, ErrorCode::kMisuse);
  MessageOf([] { Rotation::Make(int64_t{1} << 40); }, ErrorCode::kMisuse);
  MessageOf([] { Rotation::Make(64, {.block_size = 32, .identity_blocks = {2}}); }, ErrorCode::kMisuse);
  MessageOf([] { Rotation::Make(64, {.mode = RotationMode::kBlockHadamardShifted, .rot_step = 4}); },
            ErrorCode::kMisuse);
  Tensor w = Tensor::Zeros(DType::kF32, {3, 10});
  MessageOf([&] { RotateRight(w.view(), Rotation::Make(4)); }, ErrorCode::kMisuse);
  MessageOf([&] { RotateLeft(w.view(), {}, Rotation::Make(2)); }, ErrorCode::kMisuse);
  MessageOf([&] { RotateKronecker(w.view(), Rotation::Make(2), Rotation::Make(4)); }, ErrorCode::kMisuse);
  MessageOf([&] { RotateHeadsOfWeight(w.view(), Rotation::Make(4)); }, ErrorCode::kMisuse);
}

TEST(RotationOnline, WorkedExample) {
  const Tensor a = Matrix(DType::kF32, {2, 2}, {std::sqrt(.5f), std::sqrt(.5f), std::sqrt(.5f), -std::sqrt(.5f)});
  const Rotation rotation = Rotation::FromMatrix(a.view());
  Tensor w = Matrix(DType::kF32, {1, 4}, {1, 2, 3, 4}), x = Matrix(DType::kF32, {1, 4}, {1, 0, 0, 1});
  RotateHeadsOfWeight(w.view(), rotation);
  RotateHeadsOfActivations(x.view(), rotation);
  ExpectNear(Values(w), std::vector<float>{2.828427f, 4.242641f, -1.414214f, -1.414214f}, 1e-6);
  ExpectNear(Values(x), std::vector<float>{.707107f, .707107f, .707107f, -.707107f}, 1e-6);
  Tensor row = Matrix(DType::kF32, {1, 4}, {1, 2, 3, 4});
  RotateKronecker(row.view(), rotation, rotation);
  ExpectNear(Values(row), std::vector<float>{5, -1, -2, 0}, 1e-6);
}

TEST(RotationOnline, KroneckerFactorsOfTheReference) {
  const std::vector<std::vector<int64_t>> expected = {
      {3072, 48, 64},    {6144, 64, 96},    {9728, 76, 128},  {12288, 96, 128},  {17408, 128, 136},
      {25600, 160, 160}, {27648, 144, 192}, {11008, 64, 172}, {14336, 112, 128}, {8960, 80, 112}};
  for (const auto& e : expected) {
    const auto factors = FindKroneckerFactors(e[0]);
    EXPECT_EQ(factors.m, e[1]) << e[0];
    EXPECT_EQ(factors.n, e[2]) << e[0];
  }
  for (const int64_t size : {int64_t{0}, int64_t{-4}, int64_t{18946}, int64_t{7}, int64_t{1} << 62}) {
    EXPECT_THROW(FindKroneckerFactors(size), Error) << size;
  }
}

// W x' of rotated weights and activations equals W x of the originals.
TEST(RotationOnline, KeepsTheFunction) {
  const Rotation heads = Rotation::Make(8, {.block_size = 4}), m = Rotation::Make(48, {.block_size = 4}),
                 n = Rotation::Make(64);
  Tensor w = Random(DType::kF32, {6, 8 * 16}, 1), x = Random(DType::kF32, {5, 8 * 16}, 2);
  const auto before = LinearF64(Values(x), w.view(), {});
  RotateHeadsOfWeight(w.view(), heads);
  RotateHeadsOfActivations(x.view(), heads);
  ExpectNear(LinearF64(Values(x), w.view(), {}), before, 2e-5);
  Tensor wide = Random(DType::kF32, {6, 48 * 64}, 3), y = Random(DType::kF32, {5, 48 * 64}, 4);
  const auto wide_before = LinearF64(Values(y), wide.view(), {});
  RotateKronecker(wide.view(), m, n);
  RotateKronecker(y.view(), m, n);
  ExpectNear(LinearF64(Values(y), wide.view(), {}), wide_before, 3e-4);
}

// Every step of the weight's Kronecker product is rounded to the weight's type, with the matrices cast to it.
TEST(RotationOnline, KroneckerRoundsInTheWeightType) {
  const Rotation m = Rotation::Make(4), n = Rotation::Make(12);
  Tensor w = Random(DType::kBF16, {3, 48}, 9);
  const auto cast = [](const Rotation& r) { return Values(ConvertTo(r.Dense().view(), DType::kBF16)); };
  std::vector<float> expected;
  for (int64_t row = 0; row < 3; ++row) {
    const auto all = Values(w);
    std::vector<float> v(all.begin() + row * 48, all.begin() + (row + 1) * 48), rounded;
    for (const double p : Product(v, cast(n), 4, 12, 12)) rounded.push_back(RoundTo<BF16>(static_cast<float>(p)));
    for (const double p : Product(Transposed(cast(m), 4, 4), rounded, 4, 4, 12)) {
      expected.push_back(RoundTo<BF16>(static_cast<float>(p)));
    }
  }
  RotateKronecker(w.view(), m, n);
  EXPECT_EQ(Values(w), expected);
}

std::vector<float> NormF64(const std::vector<float>& x, const ConstView& gamma, const ConstView& beta) {
  const int64_t c = gamma.size();
  std::vector<float> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = x[i] * ElementAsF32(gamma, i % c) + (beta.data != nullptr ? ElementAsF32(beta, i % c) : 0.0f);
  }
  return y;
}

TEST(RotationNorm, FusingKeepsTheFunction) {
  Tensor gamma = Random(DType::kF32, {16}, 1), beta = Random(DType::kF32, {16}, 2);
  Tensor w1 = Random(DType::kF32, {5, 16}, 3), w2 = Random(DType::kF32, {3, 16}, 4), bias = Random(DType::kF32, {5}, 5);
  const auto x = Values(Random(DType::kF32, {7, 16}, 6));
  const auto normed = NormF64(x, gamma.view(), beta.view());
  const auto before1 = LinearF64(normed, w1.view(), bias.view()), before2 = LinearF64(normed, w2.view(), {});
  const NormParams norm{gamma.view(), beta.view()};
  const std::vector<LinearParams> linears = {{w1.view(), bias.view()}, {w2.view(), {}}};
  const auto created = FuseNorm({&norm, 1}, linears);
  EXPECT_FALSE(created[0]);
  ASSERT_TRUE(created[1]);
  EXPECT_EQ(Values(beta), std::vector<float>(16, 0.0f));
  EXPECT_EQ(Values(gamma), std::vector<float>(16, 1.0f));
  ExpectNear(LinearF64(x, w1.view(), bias.view()), before1, 1e-5);
  ExpectNear(LinearF64(x, w2.view(), created[1].view()), before2, 1e-5);
}

TEST(RotationNorm, SingleBiasIsDroppedLikeTheReferenceWhenAsked) {
  Tensor gamma = Matrix(DType::kF32, {2}, {2, 3}), beta = Matrix(DType::kF32, {2}, {1, 1});
  Tensor w = Matrix(DType::kF32, {1, 2}, {1, 1});
  const NormParams norm{gamma.view(), beta.view()};
  const LinearParams linear{w.view(), {}};
  const auto created = FuseNorm({&norm, 1}, {&linear, 1}, {.fold_single_bias = false});
  EXPECT_FALSE(created[0]);
  EXPECT_EQ(Values(beta), (std::vector<float>{0, 0}));
  EXPECT_EQ(Values(w), (std::vector<float>{2, 3}));
}

TEST(RotationNorm, ZeroBiasMakesNoBiases) {
  Tensor gamma = Matrix(DType::kF32, {2}, {2, 3}), beta = Matrix(DType::kF32, {2}, {0, 0});
  Tensor w = Matrix(DType::kF32, {1, 2}, {1, 1});
  const NormParams norm{gamma.view(), beta.view()};
  const LinearParams linear{w.view(), {}};
  EXPECT_FALSE(FuseNorm({&norm, 1}, {&linear, 1})[0]);
}

TEST(RotationNorm, SeveralNormsAreConcatenated) {
  Tensor g1 = Matrix(DType::kF32, {2}, {2, 3}), b1 = Matrix(DType::kF32, {2}, {1, 0});
  Tensor g2 = Matrix(DType::kF32, {1}, {5}), b2 = Matrix(DType::kF32, {1}, {-1});
  Tensor w = Matrix(DType::kF32, {1, 3}, {1, 10, 100});
  const std::vector<NormParams> norms = {{g1.view(), b1.view()}, {g2.view(), b2.view()}};
  const LinearParams linear{w.view(), {}};
  const auto created = FuseNorm(norms, {&linear, 1}, {.fold_single_bias = false});
  ASSERT_TRUE(created[0]);
  EXPECT_EQ(Values(w), (std::vector<float>{2, 30, 500}));
  EXPECT_EQ(Values(created[0]), (std::vector<float>{1 - 100}));
  Tensor bad = Tensor::Zeros(DType::kF32, {1, 4});
  const LinearParams wrong{bad.view(), {}};
  EXPECT_THROW(FuseNorm(norms, {&wrong, 1}), Error);
}

}  // namespace
}  // namespace modelslim
