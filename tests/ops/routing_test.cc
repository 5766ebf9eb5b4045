// Routers, against plain definitions.
#include "ops/experts/routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "ops/experts/routing_noaux.h"

namespace modelslim {
namespace {

using testing::ElementsAre;

TEST(TopKTest, BestFirstAndNanBeforeAll) {
  const float scores[] = {0.5f, 2.0f, -1.0f, NAN, 1.0f};
  int32_t best[3];
  TopK(scores, 5, 3, best);
  EXPECT_EQ(best[0], 3);
  EXPECT_EQ(best[1], 1);
  EXPECT_EQ(best[2], 4);
}

TEST(SoftmaxRoutingTest, RenormalizesAndRounds) {
  Tensor logits(DType::kF32, {1, 4});
  const float values[] = {1.0f, 3.0f, 2.0f, 0.0f};
  std::copy_n(values, 4, logits.as<float>());
  const Routing plain = SoftmaxRouting(std::as_const(logits).view(), 2, false, DType::kF32);
  EXPECT_THAT(plain.experts, ElementsAre(1, 2));
  EXPECT_NEAR(plain.weights[0], std::exp(3.0) / (std::exp(3.0) + std::exp(2.0) + std::exp(1.0) + 1.0), 1e-6);
  const Routing shares = SoftmaxRouting(std::as_const(logits).view(), 2, true, DType::kBF16);
  EXPECT_EQ(shares.weights[0], RoundTo<BF16>(0.7310586f));
  EXPECT_EQ(shares.weights[1], RoundTo<BF16>(0.2689414f));
}

TEST(NoauxRoutingTest, BiasSelectsButDoesNotWeigh) {
  // Two groups of two. Sigmoids: 0.5, 0.5, 0.731, 0.881; the bias lifts the first group over the second.
  Tensor logits(DType::kF32, {1, 4}), bias(DType::kF32, {4});
  const float values[] = {0.0f, 0.0f, 1.0f, 2.0f}, lifts[] = {0.9f, 0.4f, 0.0f, 0.0f};
  std::copy_n(values, 4, logits.as<float>());
  std::copy_n(lifts, 4, bias.as<float>());
  NoauxOptions options{.groups = 2, .top_groups = 1, .top_k = 2, .scale = 2.0f};
  const Routing with = NoauxRouting(std::as_const(logits).view(), std::as_const(bias).view(), options);
  EXPECT_THAT(with.experts, ElementsAre(0, 1));
  EXPECT_THAT(with.weights, ElementsAre(1.0f, 1.0f));
  const Routing without = NoauxRouting(std::as_const(logits).view(), {}, options);
  EXPECT_THAT(without.experts, ElementsAre(3, 2));
}

TEST(NoauxRoutingTest, KeptGroupsWinEvenWithNegativeScores) {
  Tensor logits(DType::kF32, {1, 4}), bias(DType::kF32, {4});
  const float lifts[] = {9.0f, -5.0f, 1.0f, 1.0f};
  std::fill_n(logits.as<float>(), 4, 0.0f);
  std::copy_n(lifts, 4, bias.as<float>());
  const NoauxOptions options{.groups = 2, .top_groups = 1, .top_k = 2};
  // A masked expert counts as minus infinity, not as 0, which would beat -4.5.
  EXPECT_THAT(NoauxRouting(std::as_const(logits).view(), std::as_const(bias).view(), options).experts,
              ElementsAre(0, 1));
}

}  // namespace
}  // namespace modelslim
