#include "processor/observing/part_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processor/processor_testing.h"

namespace modelslim {
namespace {

const char* const kDown = "model.layers.0.mlp.down_proj";

TEST(CommonModuleTest, IsTheDeepestThatHoldsAll) {
  EXPECT_EQ(CommonModule({"a.0.attn.q", "a.0.attn.k", "a.0.attn.v"}), "a.0.attn");
  EXPECT_EQ(CommonModule({"a.0.mlp.gate_proj", "a.0.mlp.gate"}), "a.0.mlp");  // cut at dots, not inside names
  EXPECT_EQ(CommonModule({"a.0.attn.q", "a.0.mlp.up"}), "a.0");
  EXPECT_EQ(CommonModule({"a.0.mlp.down_proj"}), "a.0.mlp.down_proj");
  EXPECT_EQ(CommonModule({"a.x", "b.x"}), "");
}

class PartOutputTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<fs::path> directory = FindGoldenModel("qwen3-f32");
    if (!directory) GTEST_SKIP() << "no golden model of this name here";
    run_ = std::make_unique<BlockRun>(*directory, "Qwen3-8B");
  }
  InputTape Record(const std::string& linear, bool in_chunks) {
    InputTape tape(run_->state().scratch);
    std::vector<InputObserver*>& observers = run_->block().FindLinear(linear)->observers();
    observers.push_back(&tape);
    run_->Forward(in_chunks);
    observers.clear();
    return tape;
  }
  std::unique_ptr<BlockRun> run_;
};

// A bias moves every element of the output by a known amount.
TEST_F(PartOutputTest, MeasuresAKnownChange) {
  InputTape tape = Record(kDown, false);
  PartOutput part(run_->block(), run_->state(), kDown, tape);
  EXPECT_EQ(part.MeanSquaredChange(), 0);
  Tensor bias = Tensor::Zeros(DType::kF32, {96});
  for (int64_t i = 0; i < 48; ++i) bias.as<float>()[i] = 0.5f;
  run_->block().FindLinear(kDown)->MakeBias(DType::kF32).Set(std::move(bias));
  EXPECT_NEAR(part.MeanSquaredChange(), 0.125, 1e-6);
}

TEST_F(PartOutputTest, DoesNotDependOnChunks) {
  double changes[2];
  for (const bool in_chunks : {false, true}) {
    for (const char* part_name : {"model.layers.0.self_attn", "model.layers.0.mlp"}) {
      SetUp();
      const bool attention = std::string(part_name).ends_with("attn");
      InputTape tape =
          Record(attention ? "model.layers.0.self_attn.k_proj" : "model.layers.0.mlp.gate_proj", in_chunks);
      ASSERT_EQ(tape.chunks().size(), in_chunks ? 2u : 1u);
      PartOutput part(run_->block(), run_->state(), part_name, tape);
      EXPECT_EQ(part.MeanSquaredChange(), 0);
      const View weight = run_->block().linear(attention ? "self_attn.v_proj" : "mlp.up_proj").weight().Mutable();
      for (int64_t i = 0; i < weight.size(); ++i) static_cast<float*>(weight.data)[i] *= 1.25f;
      const double change = part.MeanSquaredChange();
      EXPECT_GT(change, 1e-4);
      if (in_chunks) {
        EXPECT_EQ(change, changes[attention]) << part_name;
      }
      changes[attention] = change;
    }
  }
}

TEST_F(PartOutputTest, RefusesToDisturbStatistics) {
  InputTape tape = Record("model.layers.0.self_attn.k_proj", false);
  InputTape other(run_->state().scratch);
  run_->block().linear("self_attn.o_proj").observers().push_back(&other);
  try {
    PartOutput part(run_->block(), run_->state(), "model.layers.0.self_attn", tape);
    FAIL() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSpec);
    EXPECT_THAT(error.what(), testing::HasSubstr("self_attn.o_proj"));
  }
}

}  // namespace
}  // namespace modelslim
