// Dispatch to experts, against plain definitions.
#include "model/parts/moe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/parallel.h"
#include "fake_source.h"
#include "model/families/deepseek.h"

namespace modelslim {
namespace {

using testing::ElementsAre;

struct CountingObserver : ExpertObserver {
  void Observe(const std::string& experts, std::span<const int64_t> counts, const ConstView& x,
               const RowGroups&) override {
    name = experts;
    tokens.assign(counts.begin(), counts.end());
    rows = x.rows();
  }
  std::string name;
  std::vector<int64_t> tokens;
  int64_t rows = 0;
};

TEST(ForwardExpertsTest, GathersRowsBySampleAndSkipsIdleExperts) {
  Routing routing;
  routing.top_k = 1;
  routing.experts = {2, 0, 2, 2};
  routing.weights = {1.0f, 2.0f, 3.0f, 4.0f};
  Tensor x(DType::kF32, {4, 1}), y = Tensor::Zeros(DType::kF32, {4, 1});
  for (int i = 0; i < 4; ++i) x.as<float>()[i] = static_cast<float>(10 * (i + 1));
  const std::vector<int64_t> offsets = {0, 2, 2, 4};
  std::vector<std::string> calls;
  const auto unit = [&](const std::string& expert, const ConstView& rows, const RowGroups& groups) {
    std::string text = expert + ":";
    for (int64_t i = 0; i < rows.rows(); ++i) text += " " + std::to_string(static_cast<int>(rows.as<float>()[i]));
    for (const int64_t offset : groups.offsets) text += " |" + std::to_string(offset);
    calls.push_back(text + " from " + std::to_string(groups.first_sample));
    return Tensor::Copy(rows);
  };
  BlockInfo info;
  info.name = "model.layers.3";
  const FakeSource source;
  CountingObserver counts;
  ForwardContext context;
  context.groups = {offsets, 7};
  context.experts = &counts;
  const Block block(info, source);
  ForwardExperts(block, routing, 4, std::as_const(x).view(), context, unit, y.view());
  EXPECT_THAT(calls, ElementsAre("mlp.experts.0: 20 |0 |1 |1 |1 from 7", "mlp.experts.2: 10 30 40 |0 |1 |1 |3 from 7"));
  EXPECT_EQ(counts.name, "model.layers.3.mlp.experts");
  EXPECT_THAT(counts.tokens, ElementsAre(1, 0, 3, 0));
  EXPECT_EQ(counts.rows, 4);
  EXPECT_EQ(y.as<float>()[0], 10.0f);
  EXPECT_EQ(y.as<float>()[1], 40.0f);
  EXPECT_EQ(y.as<float>()[3], 160.0f);
}

TEST(ShiftIdsTest, FirstZeroLeavesElseTheFirst) {
  EXPECT_THAT(ShiftIds(std::vector<int32_t>{0, 5, 6, 7}, 9), ElementsAre(5, 6, 7, 9));
  EXPECT_THAT(ShiftIds(std::vector<int32_t>{5, 6, 7}, 9), ElementsAre(6, 7, 9));
  EXPECT_THAT(ShiftIds(std::vector<int32_t>{4, 0, 0}, 9), ElementsAre(4, 0, 9));
}

}  // namespace
}  // namespace modelslim
