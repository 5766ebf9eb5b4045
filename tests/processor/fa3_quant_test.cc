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
  std::unique_ptr<BlockRun> run_;
};

TEST_F(Fa3QuantTest, ValuesAreAsPlanned) {
  run_->Run(*MakeFa3Quant(Config()));
  EXPECT_TRUE(run_->plan.decisions.static_fa);
  const std::vector<ExtraTensor>& planned = run_->plan.decisions.extras.at(kAttention);
  const std::vector<ExtraValue>& made = run_->state().extras.at(kAttention);
  ASSERT_EQ(planned.size(), 6u);
  ASSERT_EQ(made.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(made[i].name, planned[i].name);
    EXPECT_EQ(made[i].value.dtype(), planned[i].dtype);
    EXPECT_EQ(made[i].value.shape(), planned[i].shape);
  }
  EXPECT_EQ(planned[0].name, std::string(kAttention) + ".fa_q.scale");
  EXPECT_EQ(planned[0].shape, (Shape{4, 1}));
  EXPECT_EQ(planned[4].shape, (Shape{1, 1}));
  for (const ExtraValue& value : made) {
    for (int64_t i = 0; value.value.dtype() == DType::kF32 && i < value.value.size(); ++i)
      EXPECT_GT(value.value.as<float>()[i], 1e-4);
    for (int64_t i = 0; value.value.dtype() == DType::kI8 && i < value.value.size(); ++i)
      EXPECT_EQ(value.value.as<int8_t>()[i], 0);
  }
  const auto& entries = run_->plan.decisions.extra_entries;
  EXPECT_EQ(std::count(entries.begin(), entries.end(),
                       std::pair<std::string, std::string>(std::string(kAttention) + ".quant_type", "INT8")),
            1);
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
  const float scale = run_->state().extras.at(kAttention)[0].value.as<float>()[0];
  run_->Run(*second);
  EXPECT_EQ(run_->plan.decisions.extras.at(kAttention).size(), 6u);
  ASSERT_EQ(run_->state().extras.at(kAttention).size(), 6u);
  EXPECT_EQ(run_->state().extras.at(kAttention)[0].value.as<float>()[0], scale);
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
