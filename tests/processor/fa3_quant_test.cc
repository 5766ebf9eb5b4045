#include "processor/steps/fa3_quant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "processor/processor_testing.h"

namespace modelslim {
namespace {

const char* const kAttention = "model.layers.1.self_attn";

ProcessorConfig Config(Fa3Config fa3 = {}) { return StepConfig("fa3_quant", std::move(fa3)); }

class Fa3QuantTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<fs::path> directory = FindGoldenModel("deepseek_v3-fp8");
    if (!directory) GTEST_SKIP() << "no golden model of this name here";
    run_ = std::make_unique<BlockRun>(*directory, "DeepSeek-V3", 1);
  }
  // Query heads of the attention, for every step that takes it.
  std::vector<int64_t> Planned() const {
    std::vector<int64_t> heads;
    for (const PlannedFact& fact : run_->plan.decisions.facts) {
      if (fact.module == kAttention) heads.push_back(std::get<PlannedFaScales>(fact.what).query_heads);
    }
    return heads;
  }
  const std::vector<Fact>& Made() const { return run_->state().facts.at(kAttention); }

  std::unique_ptr<BlockRun> run_;
};

TEST_F(Fa3QuantTest, ValuesAreAsPlanned) {
  run_->Run(*MakeFa3Quant(Config()));
  EXPECT_EQ(Planned(), (std::vector<int64_t>{4}));
  ASSERT_EQ(Made().size(), 1u);
  const auto& scales = std::get<FaScales>(Made().front());
  EXPECT_EQ(scales.query.scale.size(), 4u);
  EXPECT_EQ(scales.key.scale.size(), 1u);
  EXPECT_EQ(scales.value.scale.size(), 1u);
  for (const AffineTable* const table : {&scales.query, &scales.key, &scales.value}) {
    for (const float scale : table->scale) EXPECT_GT(scale, 1e-4);
    for (const float offset : table->offset) EXPECT_EQ(offset, 0);
  }
}

// Later forwards see the rounding: int8 of bounded inputs changes the block's output a little, and not by nothing.
TEST_F(Fa3QuantTest, LaterForwardsAreQuantized) {
  BlockRun dense(*FindGoldenModel("deepseek_v3-fp8"), "DeepSeek-V3", 0);  // no router that could decide otherwise
  const Tensor before = dense.Forward();
  dense.Run(*MakeFa3Quant(Config()));
  const double difference = LargestDifference(dense.Forward(), before);
  EXPECT_GE(difference, 1e-5);
  EXPECT_LE(difference, 0.05);
}

TEST_F(Fa3QuantTest, TheFirstEntryWins) {
  const std::unique_ptr<Processor> first = MakeFa3Quant(Config()), second = MakeFa3Quant(Config());
  run_->Run(*first);
  const float scale = std::get<FaScales>(Made().front()).query.scale.front();
  run_->Run(*second);
  EXPECT_EQ(Planned().size(), 1u);
  ASSERT_EQ(Made().size(), 1u);
  EXPECT_EQ(std::get<FaScales>(Made().front()).query.scale.front(), scale);
}

TEST_F(Fa3QuantTest, RefusesOtherTypesInThePlan) {
  const QConfig fp8 = HalfConfig(QDType::kFp8E4M3, QScope::kPerHead);
  Fa3Config whole, branch;
  whole.qconfig = fp8;
  branch.details.emplace().fa_k = fp8;
  for (const Fa3Config& config : {whole, branch}) {
    try {
      MakeFa3Quant(Config(config))->Plan(run_->family(), run_->plan);
      FAIL() << "it was planned";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kToDo);
      EXPECT_THAT(error.what(), testing::HasSubstr("fp8_e4m3 per_head"));
    }
  }
}

TEST(Fa3QuantFamilyTest, RefusesFamiliesWithoutLatentAttention) {
  const std::optional<fs::path> directory = FindGoldenModel("qwen3-f32");
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  BlockRun run(*directory, "Qwen3-8B");
  try {
    MakeFa3Quant(Config())->Plan(run.family(), run.plan);
    FAIL() << "it was planned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("qwen3"));
  }
}

}  // namespace
}  // namespace modelslim
