#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/parallel.h"
#include "kernels/native/exp_row.h"
#include "kernels/random_tensor.h"
#include "kernels/reference/reference_attention.h"
#include "kernels/vector_math.h"

namespace modelslim {
namespace {

struct AttentionCase {
  int64_t heads, kv_heads, dim, v_dim;
  DType q, k, v, out;
};

class Attention : public testing::TestWithParam<AttentionCase> {};

// Lengths around the block sizes (48 queries, 256 keys), an empty sequence, a sequence of one row.
const std::vector<int64_t> kOffsets = {0, 1, 1, 50, 98, 395, 908};

TEST_P(Attention, AgreesWithF64) {
  const AttentionCase& c = GetParam();
  const AttentionShape shape{c.heads, c.kv_heads, c.dim, c.v_dim, 1.0f / std::sqrt(static_cast<float>(c.dim))};
  const int64_t rows = kOffsets.back();
  const Tensor q = RandomTensor(c.q, {rows, c.heads * c.dim}, 1, 2.0f),
               k = RandomTensor(c.k, {rows, c.kv_heads * c.dim}, 2);
  const Tensor v = RandomTensor(c.v, {rows, c.kv_heads * c.v_dim}, 3);
  Tensor got(c.out, {rows, c.heads * c.v_dim}), exact(DType::kF32, got.shape());
  CausalAttention(shape, q.view(), k.view(), v.view(), kOffsets, got.view());
  RefCausalAttention(shape, q.view(), k.view(), v.view(), kOffsets, exact.view());
  // Probabilities rounded to v's type err by half a unit each: at most that share of the largest |v| (below 5 here),
  // and far less on average; the output's own rounding comes on top. f32 leaves a few units of 2^-24.
  const auto unit = [](DType dtype) {
    return dtype == DType::kBF16 ? 0x1p-9 : dtype == DType::kF16 ? 0x1p-12 : 0x1p-21;
  };
  EXPECT_LT(MaxDifference(got.view(), exact.view()), 5 * (unit(c.v) + unit(c.out)));
}

constexpr DType kB = DType::kBF16, kF = DType::kF32, kH = DType::kF16;
INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    testing::Values(AttentionCase{4, 2, 64, 64, kB, kB, kB, kB}, AttentionCase{2, 2, 128, 128, kB, kB, kB, kF},
                    AttentionCase{3, 1, 64, 64, kF, kF, kF, kF}, AttentionCase{2, 1, 24, 17, kH, kH, kH, kH},
                    AttentionCase{2, 1, 7, 5, kB, kB, kB, kB}, AttentionCase{1, 1, 192, 128, kB, kB, kB, kB},
                    AttentionCase{2, 2, 32, 48, kB, kB, kF, kF}, AttentionCase{2, 2, 32, 48, kF, kB, kB, kB}));

TEST(Attention, SequencesDoNotDependOnTheirNeighboursNorOnThreads) {
  const AttentionShape shape{4, 2, 64, 64, 0.125f};
  const int64_t rows = kOffsets.back();
  const Tensor q = RandomTensor(kB, {rows, 256}, 4), k = RandomTensor(kB, {rows, 128}, 5),
               v = RandomTensor(kB, {rows, 128}, 6);
  Tensor all(kB, {rows, 256});
  SetComputeThreads(3);
  CausalAttention(shape, q.view(), k.view(), v.view(), kOffsets, all.view());
  SetComputeThreads(1);
  for (size_t s = 0; s + 1 < kOffsets.size(); ++s) {
    const int64_t begin = kOffsets[s], length = kOffsets[s + 1] - begin;
    if (length == 0) continue;
    for (const int64_t part : {length, (length + 1) / 2}) {  // a causal row does not see what follows
      Tensor one(kB, {part, 256});
      const std::vector<int64_t> offsets = {0, part};
      CausalAttention(shape, q.view().Rows(begin, begin + part), k.view().Rows(begin, begin + part),
                      v.view().Rows(begin, begin + part), offsets, one.view());
      EXPECT_EQ(std::memcmp(one.view().data, all.view().Rows(begin, begin + part).data, one.bytes()), 0) << s;
    }
  }
  SetComputeThreads(0);
}

TEST(Attention, HugeScoresDoNotOverflow) {
  const AttentionShape shape{1, 1, 16, 16, 1.0f};
  const Tensor q = RandomTensor(kF, {300, 16}, 7, 100.0f), k = RandomTensor(kF, {300, 16}, 8, 100.0f),
               v = RandomTensor(kF, {300, 16}, 9);
  Tensor got(kF, {300, 16}), exact(kF, {300, 16});
  const std::vector<int64_t> offsets = {0, 300};
  CausalAttention(shape, q.view(), k.view(), v.view(), offsets, got.view());
  RefCausalAttention(shape, q.view(), k.view(), v.view(), offsets, exact.view());
  // Scores of 1e5 carry an error of 1e-2 in f32, which the exponential turns into as much of a probability.
  EXPECT_LT(MaxDifference(got.view(), exact.view()), 0.2);
}

TEST(VectorMath, ExpWithinTwoUnits) {
  for (float x = -104.0f; x < 88.7f; x += 0.00137f) {
    const double exact = std::exp(static_cast<double>(x));
    const double unit = std::max(std::ldexp(1.0, std::ilogb(exact) - 23), 0x1p-149);
    ASSERT_NEAR(VectorExp(x), exact, 2 * unit) << x;
  }
  EXPECT_EQ(VectorExp(0.0f), 1.0f);
  EXPECT_EQ(VectorExp(-INFINITY), 0.0f);
  EXPECT_EQ(VectorExp(INFINITY), INFINITY);
  EXPECT_EQ(VectorExp(89.0f), INFINITY);
  EXPECT_TRUE(std::isnan(VectorExp(NAN)));
}

TEST(VectorMath, ExpOfNegativeWithinTwoUnits) {
  for (float x = -90.0f; x <= 0.0f; x += 0.00077f) {
    const double exact = x < -86.0f ? 0.0 : std::exp(static_cast<double>(x));
    const double unit = exact == 0 ? 0 : std::ldexp(1.0, std::ilogb(exact) - 23);
    ASSERT_NEAR(VectorExpOfNegative(x), exact, 2 * unit) << x;
  }
  EXPECT_EQ(VectorExpOfNegative(-INFINITY), 0.0f);
  EXPECT_TRUE(std::isnan(VectorExpOfNegative(std::bit_cast<float>(0x7fc12345u))));
}

// The bounds of both are what their polynomials are made for; at 0 the fast one is a little below 1, which shows in the
// sums.
TEST(VectorMath, TheReferencesExponentials) {
  EXPECT_EQ(QuinticExpOfNegative(0.0f), 1.0f);
  EXPECT_FLOAT_EQ(FastExpOfNegative(0.0f), 0.99994648f);
  EXPECT_EQ(QuinticExpOfNegative(-90.0f), 0.0f);
  EXPECT_EQ(FastExpOfNegative(-INFINITY), 0.0f);
  for (float x = 0.0f; x > -80.0f; x -= 0.0137f) {
    const double exact = std::exp(static_cast<double>(x));
    EXPECT_NEAR(QuinticExpOfNegative(x) / exact, 1.0, 3e-6) << x;
    EXPECT_NEAR(FastExpOfNegative(x) / exact, 1.0, 2e-4) << x;
  }
}

TEST(VectorMath, TheMachinesExpRowHasTheSameBits) {
  const ExpRowBF16 fast = ArchExpRowBF16();
  if (fast == nullptr) GTEST_SKIP() << "no special version on this machine";
  const Tensor scores = RandomTensor(DType::kF32, {300}, 10, 30.0f);
  for (const int64_t count : {1, 15, 16, 17, 255, 300}) {
    std::vector<BF16> p(static_cast<size_t>(count) + 1, BF16{0x1234});
    const float sum = fast(scores.as<float>(), count, 0.25f, 20.0f, p.data());
    float lanes[16] = {};
    for (int64_t j = 0; j < count; ++j) {
      const float value = FastExpOfNegative(scores.as<float>()[j] * 0.25f - 20.0f);
      lanes[j % 16] += value;
      EXPECT_EQ(p[j].bits, ToBF16(value).bits);
    }
    for (int width = 8; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
    }
    EXPECT_EQ(sum, lanes[0]);
    EXPECT_EQ(p[count].bits, 0x1234);  // nothing beyond the row
  }
}

}  // namespace
}  // namespace modelslim
