// The gated delta rule, the indexer and the forms of attention, against plain definitions and each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/parallel.h"
#include "ops/attention/eager_attention.h"
#include "ops/attention/gated_delta.h"
#include "ops/attention/indexer.h"

namespace modelslim {
namespace {

using testing::ElementsAre;

Tensor Random(DType dtype, Shape shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor made(dtype, std::move(shape));
  WithModelDType(dtype, [&](auto tag) {
    for (int64_t i = 0; i < made.size(); ++i) made.as<decltype(tag)>()[i] = From<decltype(tag)>(normal(generator));
  });
  return made;
}

// Values computed independently: heads 2, dk 4, dv 3, 70 tokens of sines and cosines, normalized keys and queries.
TEST(GatedDeltaTest, AgreesWithKnownValues) {
  constexpr int64_t kTokens = 70, kHeads = 2, kKey = 4, kValue = 3;
  Tensor q(DType::kF32, {kTokens, kHeads * kKey}), k(DType::kF32, {kTokens, kHeads * kKey}),
      v(DType::kF32, {kTokens, kHeads * kValue}), decay(DType::kF32, {kTokens, kHeads}),
      beta(DType::kF32, {kTokens, kHeads});
  for (int64_t t = 0; t < kTokens; ++t) {
    const auto time = static_cast<float>(t);
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto head = static_cast<float>(h);
      for (int64_t i = 0; i < kKey; ++i) {
        q.as<float>()[(t * kHeads + h) * kKey + i] = std::sin(0.7f * time + 1.3f * head + 0.9f * static_cast<float>(i));
        k.as<float>()[(t * kHeads + h) * kKey + i] = std::cos(0.4f * time + 0.8f * head + 1.1f * static_cast<float>(i));
      }
      for (int64_t j = 0; j < kValue; ++j) {
        v.as<float>()[(t * kHeads + h) * kValue + j] =
            std::sin(0.2f * time + 0.5f * head + 0.6f * static_cast<float>(j));
      }
      decay.as<float>()[t * kHeads + h] = -(0.05f + 0.02f * head + 0.01f * std::sin(time));
      beta.as<float>()[t * kHeads + h] = 1.0f / (1.0f + std::exp(-(std::cos(0.3f * time) + 0.2f * head)));
    }
  }
  Tensor qn(DType::kF32, q.shape()), kn(DType::kF32, k.shape()), out(DType::kF32, v.shape());
  L2NormalizeHeads(std::as_const(q).view(), kKey, 0.5f, qn.view());
  L2NormalizeHeads(std::as_const(k).view(), kKey, 1.0f, kn.view());
  const std::vector<int64_t> offsets = {0, kTokens};
  GatedDeltaRule({kHeads, kHeads, kKey, kValue}, std::as_const(qn).view(), std::as_const(kn).view(),
                 std::as_const(v).view(), std::as_const(decay).view(), std::as_const(beta).view(), offsets, out.view());
  const std::pair<int64_t, std::vector<float>> known[] = {
      {0, {0.0f, -0.0628905f, -0.1038116f, 0.0731457f, 0.1359711f, 0.1512978f}},
      {1, {0.0128210f, 0.1125486f, 0.1729598f, 0.2094481f, 0.3431674f, 0.3570084f}},
      {69, {0.3610899f, 0.2864251f, 0.1117040f, 0.1061417f, -0.0937065f, -0.2608201f}}};
  for (const auto& [t, values] : known) {
    for (int64_t i = 0; i < 6; ++i) EXPECT_NEAR(out.as<float>()[t * 6 + i], values[i], 2e-6f) << t << ", " << i;
  }
}

TEST(GatedDeltaTest, SequencesAndThreadsDoNotMatter) {
  const GatedDeltaShape shape{.key_heads = 2, .value_heads = 4, .key_dim = 16, .value_dim = 40};
  const Tensor q = Random(DType::kF32, {9, 32}, 1), k = Random(DType::kF32, {9, 32}, 2),
               v = Random(DType::kF32, {9, 160}, 3), beta = Random(DType::kF32, {9, 4}, 5);
  Tensor decay = Random(DType::kF32, {9, 4}, 4);
  for (int i = 0; i < 36; ++i) decay.as<float>()[i] = -std::fabs(decay.as<float>()[i]);
  Tensor packed(DType::kF32, {9, 160}), apart(DType::kF32, {9, 160});
  const std::vector<int64_t> offsets = {0, 4, 4, 9};
  GatedDeltaRule(shape, q.view(), k.view(), v.view(), std::as_const(decay).view(), beta.view(), offsets, packed.view());
  SetComputeThreads(3);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 4}, {4, 9}}) {
    const std::vector<int64_t> one = {0, end - begin};
    GatedDeltaRule(shape, q.view().Rows(begin, end), k.view().Rows(begin, end), v.view().Rows(begin, end),
                   std::as_const(decay).view().Rows(begin, end), beta.view().Rows(begin, end), one,
                   apart.view().Rows(begin, end));
  }
  SetComputeThreads(0);
  for (int64_t i = 0; i < packed.size(); ++i) ASSERT_EQ(packed.as<float>()[i], apart.as<float>()[i]) << i;
}

TEST(CausalConvolutionTest, SeesOnlyItsOwnSequence) {
  Tensor x(DType::kF32, {4, 1}), weight(DType::kF32, {1, 1, 3}), y(DType::kF32, {4, 1});
  for (int i = 0; i < 4; ++i) x.as<float>()[i] = static_cast<float>(i + 1);
  const float taps[] = {100.0f, 10.0f, 1.0f};
  std::copy_n(taps, 3, weight.as<float>());
  const std::vector<int64_t> offsets = {0, 3, 4};
  CausalConvolution(std::as_const(x).view(), std::as_const(weight).view(), offsets, y.view());
  const float want[] = {1.0f, 12.0f, 123.0f, 4.0f};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(y.as<float>()[i], want[i]) << i;
}

TEST(IndexerTest, SelectsTheBestVisiblePositions) {
  // One head of two dimensions: the score is relu(q . k) * w.
  Tensor q(DType::kF32, {3, 2}), k(DType::kF32, {3, 2}), w(DType::kF32, {3, 1});
  const float qs[] = {1, 0, 1, 0, 1, 0}, ks[] = {3, 0, 1, 0, 2, 0};
  std::copy_n(qs, 6, q.as<float>());
  std::copy_n(ks, 6, k.as<float>());
  std::fill_n(w.as<float>(), 3, 1.0f);
  const auto positions = SelectPositions(std::as_const(q).view(), std::as_const(k).view(), std::as_const(w).view(), 2);
  EXPECT_THAT(positions[0], ElementsAre(0));
  EXPECT_THAT(positions[1], ElementsAre(0, 1));
  EXPECT_THAT(positions[2], ElementsAre(0, 2));
}

TEST(IndexerTest, HadamardIsItsOwnInverse) {
  Tensor x = Random(DType::kF32, {3, 64}, 1);
  const Tensor before = x.Clone();
  HadamardHeads(x.view(), 32);
  EXPECT_GT(std::fabs(x.as<float>()[0] - before.as<float>()[0]), 1e-3f);
  HadamardHeads(x.view(), 32);
  for (int64_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x.as<float>()[i], before.as<float>()[i], 1e-5f);
}

// With every earlier position selected, and with the eager rounding in f32, attention is the ordinary one.
TEST(AttentionFormsTest, AgreeWhereTheyMust) {
  const AttentionShape shape{.heads = 2, .kv_heads = 2, .dim = 24, .v_dim = 16, .scale = 0.3f};
  const Tensor q = Random(DType::kBF16, {70, 48}, 1), k = Random(DType::kBF16, {70, 48}, 2),
               v = Random(DType::kBF16, {70, 32}, 3);
  const std::vector<int64_t> offsets = {0, 70};
  Tensor dense(DType::kF32, {70, 32}), selected(DType::kF32, {70, 32}), eager(DType::kF32, {70, 32});
  CausalAttention(shape, q.view(), k.view(), v.view(), offsets, dense.view());
  std::vector<std::vector<int32_t>> all(70);
  for (int32_t t = 0; t < 70; ++t) {
    for (int32_t s = 0; s <= t; ++s) all[t].push_back(s);
  }
  SelectedAttention(shape, q.view(), k.view(), v.view(), all, selected.view());
  EagerAttention(shape, q.view(), k.view(), v.view(), offsets, eager.view());
  double difference = 0;
  for (int64_t i = 0; i < dense.size(); ++i) {
    EXPECT_NEAR(selected.as<float>()[i], dense.as<float>()[i], 8e-3f)
        << i;  // probabilities are rounded before or after the sum
    EXPECT_NEAR(eager.as<float>()[i], dense.as<float>()[i], 4e-2f) << i;  // scores of up to 8 are rounded to 2^-6
    difference = std::max<double>(difference, std::fabs(eager.as<float>()[i] - dense.as<float>()[i]));
  }
  EXPECT_GT(difference, 1e-4);  // the rounding is there
}

}  // namespace
}  // namespace modelslim
