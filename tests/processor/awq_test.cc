#include "processor/steps/awq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "processor/processor_testing.h"

namespace modelslim {
namespace {

ProcessorConfig Config(std::vector<SubgraphType> types = AllSubgraphTypes()) {
  AwqConfig awq;
  awq.weight_qconfig = HalfConfig(QDType::kInt4, QScope::kPerChannel);
  awq.n_grid = 5;
  awq.enable_subgraph_type = std::move(types);
  return StepConfig("awq", awq);
}

Tensor Weight(BlockRun& run, const char* name) { return Tensor::Copy(run.block().linear(name).weight().Get()); }

bool Same(const Tensor& a, const Tensor& b) {
  return a.view().bytes() == b.view().bytes() && std::memcmp(a.view().data, b.view().data, a.view().bytes()) == 0;
}

class AwqTest : public testing::Test {
 protected:
  std::unique_ptr<BlockRun> Open(const char* name, const char* model_type, bool mends) {
    const std::optional<fs::path> directory = FindGoldenModel(name);
    if (!directory) return nullptr;
    auto run = std::make_unique<BlockRun>(*directory, model_type);
    run->plan.options.mends.awq_gqa = mends;
    return run;
  }
};

// Scales only move between modules: what the block computes stays, also where query heads share value heads.
TEST_F(AwqTest, KeepsTheFunction) {
  const std::unique_ptr<BlockRun> run = Open("qwen3-f32", "Qwen3-8B", /*mends=*/true);
  if (!run) GTEST_SKIP() << "no golden model of this name here";
  const Tensor before = run->Forward(), o = Weight(*run, "self_attn.o_proj"), down = Weight(*run, "mlp.down_proj");
  const std::unique_ptr<Processor> awq = MakeAwq(Config());
  run->Run(*awq);
  EXPECT_FALSE(Same(o, Weight(*run, "self_attn.o_proj")));
  EXPECT_FALSE(Same(down, Weight(*run, "mlp.down_proj")));
  EXPECT_LE(LargestDifference(run->Forward(), before), 1e-5);
  EXPECT_TRUE(run->plan.notes.all().empty());
}

// What 26.1.0 does to shared value heads, and that the plan says so.
TEST_F(AwqTest, LeavesSharedValuesAloneAsTheReferenceDoes) {
  const std::unique_ptr<BlockRun> run = Open("qwen3-f32", "Qwen3-8B", /*mends=*/false);
  if (!run) GTEST_SKIP() << "no golden model of this name here";
  const Tensor before = run->Forward(), o = Weight(*run, "self_attn.o_proj"), v = Weight(*run, "self_attn.v_proj");
  run->Run(*MakeAwq(Config({SubgraphType::kOv})));
  EXPECT_TRUE(Same(v, Weight(*run, "self_attn.v_proj")));
  EXPECT_FALSE(Same(o, Weight(*run, "self_attn.o_proj")));
  EXPECT_GE(LargestDifference(run->Forward(), before), 1e-4);
  ASSERT_EQ(run->plan.notes.all().size(), 1u);
  EXPECT_THAT(run->plan.notes.all()[0].text, testing::HasSubstr("--mend awq-gqa"));
}

TEST_F(AwqTest, ChunksChangeNoBit) {
  std::vector<Tensor> made;
  for (const bool in_chunks : {false, true}) {
    const std::unique_ptr<BlockRun> run = Open("qwen3-f32", "Qwen3-8B", true);
    if (!run) GTEST_SKIP() << "no golden model of this name here";
    run->Run(*MakeAwq(Config()), in_chunks);
    for (const char* name : {"self_attn.o_proj", "self_attn.q_proj", "mlp.down_proj", "mlp.gate_proj"})
      made.push_back(Weight(*run, name));
  }
  for (size_t i = 0; i < made.size() / 2; ++i) EXPECT_TRUE(Same(made[i], made[i + made.size() / 2])) << i;
}

}  // namespace
}  // namespace modelslim
