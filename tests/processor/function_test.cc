// Steps that rewrite a model leave its function alone: logits of whole f32 golden models before and after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/recipe/diagnostic.h"
#include "model/model_testing.h"
#include "model/whole_model.h"
#include "processor/processor.h"
#include "processor/walk.h"

namespace modelslim {
namespace {

struct FunctionCase {
  const char* name;
  std::string model, model_type;
  std::string process;  // items of spec.process, in flow style
};

void PrintTo(const FunctionCase& rewriting, std::ostream* out) { *out << rewriting.name << " on " << rewriting.model; }

// The steps on all of a model, as the runner does it.
void Rewrite(WholeModel& model, const std::vector<ProcessorConfig>& process) {
  const TemporaryDirectory scratch;
  ModelPlan plan;
  plan.decisions.Start(model.family().layout());
  const std::vector<std::unique_ptr<Processor>> steps = MakeProcessors(process, model.family());
  for (const auto& step : steps) {
    RefuseQuantized(*step, model.family(), plan);
    step->Plan(model.family(), plan);
  }
  RunState state{model.family(), plan, model.rest(), Keep::kPacked, scratch.path()};
  for (const auto& step : steps) step->PreRun(state);
  Tensor hidden = model.Embed();
  for (const auto& block : model.blocks()) {
    Tensor next;
    WalkBlock(steps, *block, state, /*has_next=*/true,
              [&](Processor& step, bool) { next = model.Forward(*block, hidden, step.kv_observer()); });
    if (next) hidden = std::move(next);
  }
  for (const auto& step : steps) step->PostRun(state);
}

std::vector<ProcessorConfig> Parse(const std::string& process) {
  Diagnostics diagnostics;
  const Recipe recipe =
      ParseRecipe("apiversion: modelslim_v1\nspec: {process: [" + process + "]}\n", "test.yaml", diagnostics);
  EXPECT_FALSE(diagnostics.HasErrors()) << process;
  return recipe.text()->process;
}

class FunctionTest : public testing::TestWithParam<FunctionCase> {};

TEST_P(FunctionTest, IsPreserved) {
  const FunctionCase& rewriting = GetParam();
  const std::optional<fs::path> directory = FindGoldenModel(rewriting.model);
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  WholeModel model(*directory, rewriting.model_type);
  const std::vector<float> before = model.Run();
  Rewrite(model, Parse(rewriting.process));
  const double difference = LargestDifference(model.Run(), before);
  EXPECT_LE(difference, 1e-4);  // roundings of f32; a wrong scale is seen in the first digit
  EXPECT_GT(difference, 0) << "nothing was rewritten";
}

std::vector<FunctionCase> Cases() {
  const std::string int4 =
      "qconfig: {act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, "
      "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz, ext: {step: 10}}}";
  const std::pair<const char*, const char*> llama{"llama-f32", "default"}, qwen2{"qwen2_5-f32", "Qwen2.5-7B-Instruct"},
      qwen3{"qwen3-f32", "Qwen3-8B"}, moe{"qwen3_moe-bf16", "Qwen3-30B-A3B"},
      even_heads{"qwen3_moe-f32", "Qwen3-30B-A3B"}, next{"qwen3_next-f32", "Qwen3-Next-80B-A3B-Instruct"},
      deepseek{"deepseek_v3-fp8", "DeepSeek-V3"}, newest{"deepseek_v3_2-bf16", "DeepSeek-V3.2-Exp"};
  using Models = std::vector<std::pair<const char*, const char*>>;
  const Models dense = {llama, qwen2, qwen3}, grouped = {llama, qwen2, qwen3, moe},
               whole = {llama, qwen2, qwen3, even_heads}, rotated = {llama, qwen2, qwen3, even_heads, deepseek, newest},
               eights = {moe, qwen3}, all = {llama, qwen2, qwen3, moe, next, deepseek},
               searched = {llama, qwen2, qwen3, moe, next, deepseek, newest};
  struct Step {
    const char* name;
    std::string process;
    const Models& models;
  };
  const Step steps[] = {
      {"smooth", "{type: smooth_quant, alpha: 0.5}", all},
      {"smooth_shift", "{type: smooth_quant, alpha: 0.5, symmetric: false}", all},
      {"iter", "{type: iter_smooth, alpha: 0.9}", all},
      {"iter_shift", "{type: iter_smooth, alpha: 0.9, symmetric: false}", all},
      {"flex", "{type: flex_smooth_quant}", searched},
      {"flex_fixed", "{type: flex_smooth_quant, alpha: 0.7, beta: 0.2}", searched},
      {"flex_awq_ssz", "{type: flex_awq_ssz, " + int4 + "}", searched},
      {"kv_smooth", "{type: kv_smooth, smooth_factor: 1.0}", grouped},
      {"quarot", "{type: quarot}", whole},
      {"quarot_eights", "{type: quarot, block_size: 8}", eights},
      {"quarot_blocks", "{type: quarot, block_size: 16}", rotated},
      {"quarot_online", "{type: quarot, block_size: 16, online: true, max_tp_size: 2}", dense},
      {"quarot_down", "{type: quarot, block_size: 16, online: true, max_tp_size: 2, down_proj_online_layers: [1]}",
       dense},
      {"several",
       "{type: quarot, block_size: 16}, {type: iter_smooth, alpha: 0.9, symmetric: false}, {type: flex_smooth_quant}",
       rotated}};
  std::vector<FunctionCase> cases;
  for (const Step& step : steps) {
    for (const auto& [model, type] : step.models) cases.push_back({step.name, model, type, step.process});
  }
  return cases;
}

std::string NameOf(const testing::TestParamInfo<FunctionCase>& rewriting) {
  std::string name = rewriting.param.model + "_" + rewriting.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rewriting, FunctionTest, testing::ValuesIn(Cases()), NameOf);

}  // namespace
}  // namespace modelslim
