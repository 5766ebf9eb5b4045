// Steps that rewrite a model leave its function alone: logits of whole f32 golden models before and after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/diagnostic.h"
#include "processor/processor_testing.h"

namespace modelslim {
namespace {

struct FunctionCase {
  const char* name;
  std::string model, model_type;
  std::string process;  // items of spec.process, in flow style
};

void PrintTo(const FunctionCase& rewriting, std::ostream* out) { *out << rewriting.name << " on " << rewriting.model; }

// All modules of a model, and what they make of one text.
class WholeModel {
 public:
  WholeModel(const fs::path& directory, const std::string& model_type) : model_(directory, model_type) {
    rest_ = family().MakeBlock(-1, *model_.source);
    for (const BlockInfo& info : family().layout().blocks) {
      blocks_.push_back(family().MakeBlock(info.index, *model_.source));
      for (const ModuleInfo& module : info.modules) {
        if (module.kind == ModuleKind::kLinear) plan_.linears.emplace(module.name, LinearDecision{});
      }
    }
    for (int i = 0; i < kTokens; ++i) ids_.push_back((i * 37 + 11) % static_cast<int32_t>(family().vocab_size()));
  }

  const Family& family() const { return *model_.family; }

  Tensor Logits() {
    Tensor hidden = family().Embed(*rest_, ids_);
    const size_t layers = static_cast<size_t>(model_.config.Find("num_hidden_layers")->integer().value());
    for (size_t i = 0; i < layers; ++i) hidden = Forward(*blocks_[i], hidden);
    return family().Logits(*rest_, std::as_const(hidden).view());
  }

  // As the runner does it.
  void Run(const std::vector<ProcessorConfig>& process) {
    const std::vector<std::unique_ptr<Processor>> steps = MakeProcessors(process, family());
    for (const auto& step : steps) {
      RefuseQuantized(*step, family(), plan_);
      step->Plan(family(), plan_);
    }
    RunState state{family(), plan_, *rest_, Keep::kPacked, scratch_.path(), scratch_.path()};
    for (const auto& step : steps) step->PreRun(state);
    Tensor hidden = family().Embed(*rest_, ids_);
    for (const auto& block : blocks_) {
      Tensor next;
      for (const auto& step : steps) {
        step->Preprocess(*block, state);
        if (step->NeedsData()) next = Forward(*block, hidden, step->kv_observer());
        step->Postprocess(*block, state);
        if (step->ForwardsAgain()) next = Forward(*block, hidden);
      }
      if (next.size() > 0) hidden = std::move(next);
    }
    for (const auto& step : steps) step->PostRun(state);
  }

 private:
  static constexpr int kTokens = 61;

  Tensor Forward(Block& block, const Tensor& hidden, KvObserver* kv = nullptr) {
    ForwardContext context;
    context.groups = {offsets_, 0};
    context.ids = ids_;
    context.kv = kv;
    context.rest = rest_.get();
    return family().Forward(block, context, hidden.view());
  }

  OpenModel model_;
  TemporaryDirectory scratch_;
  ModelPlan plan_;
  std::unique_ptr<Block> rest_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<int32_t> ids_;
  std::vector<int64_t> offsets_ = {0, kTokens};
};

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
  const Tensor before = model.Logits();
  model.Run(Parse(rewriting.process));
  const double difference = LargestDifference(model.Logits(), before);
  EXPECT_LE(difference, 2e-5);
  EXPECT_GT(difference, 0) << "nothing was rewritten";
}

std::vector<FunctionCase> Cases() {
  const std::string int4 =
      "qconfig: {act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, "
      "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz, ext: {step: 10}}}";
  const std::pair<const char*, const char*> llama{"llama-f32", "default"}, qwen2{"qwen2_5-f32", "Qwen2.5-7B-Instruct"},
      qwen3{"qwen3-f32", "Qwen3-8B"}, moe{"qwen3_moe-f32", "Qwen3-30B-A3B"},
      next{"qwen3_next-f32", "Qwen3-Next-80B-A3B-Instruct"}, deepseek{"deepseek_v3-f32", "DeepSeek-V3"};
  using Models = std::vector<std::pair<const char*, const char*>>;
  const Models dense = {llama, qwen2, qwen3}, grouped = {llama, qwen2, qwen3, moe},
               rotated = {llama, qwen2, qwen3, moe, deepseek}, all = {llama, qwen2, qwen3, moe, next, deepseek};
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
      {"flex", "{type: flex_smooth_quant}", all},
      {"flex_fixed", "{type: flex_smooth_quant, alpha: 0.7, beta: 0.2}", all},
      {"flex_awq_ssz", "{type: flex_awq_ssz, " + int4 + "}", all},
      {"kv_smooth", "{type: kv_smooth, smooth_factor: 1.0}", grouped},
      {"quarot", "{type: quarot}", grouped},
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
