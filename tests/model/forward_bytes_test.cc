// What a forward really holds, against what Family::ForwardBytes() says.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "model_testing.h"
#include "tensor/buffers.h"

namespace modelslim {
namespace {

struct Case {
  const char* model;
  const char* model_type;
};
void PrintTo(const Case& of, std::ostream* out) { *out << of.model; }

class ForwardBytesTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { SetComputeThreads(1); }
  void TearDown() override { SetComputeThreads(0); }
};

struct Batch {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};
};

Batch MakeBatch(int64_t vocabulary) {
  Batch batch;
  for (const int64_t length : {300, 150, 450, 300}) {
    for (int64_t t = 0; t < length; ++t) {
      batch.ids.push_back(static_cast<int32_t>((batch.ids.size() * 37 + 11) % static_cast<size_t>(vocabulary)));
    }
    batch.offsets.push_back(static_cast<int64_t>(batch.ids.size()));
  }
  return batch;
}

uint64_t WeightBytes(const BlockInfo& block) {
  uint64_t bytes = 0;
  for (const ModuleInfo& module : block.modules) {
    for (const ParamInfo& param : module.params) bytes += static_cast<uint64_t>(NumElements(param.shape)) * 4;
  }
  return bytes;
}

TEST_P(ForwardBytesTest, IsCloseAboveWhatIsHeld) {
  const std::optional<fs::path> directory = FindGoldenModel(GetParam().model);
  if (!directory) GTEST_SKIP() << "no such golden model here";
  OpenModel model(*directory, GetParam().model_type);
  const Family& family = *model.family;
  const Batch batch = MakeBatch(family.vocab_size());
  const std::unique_ptr<Block> rest = family.MakeBlock(-1, *model.source);
  ForwardForm form;
  form.rows = batch.offsets.back();
  form.longest = 450;
  form.samples = 4;
  form.dtype = family.layout().dtype;
  Tensor hidden = family.Embed(*rest, batch.ids);
  for (const BlockInfo& info : family.layout().blocks) {
    SCOPED_TRACE(info.name);
    ForwardContext context;
    context.groups.offsets = batch.offsets;
    context.ids = batch.ids;
    context.keep = Keep::kNothing;
    context.rest = rest.get();
    Tensor out;
    uint64_t held = 0;
    for (int round = 0; round < 2; ++round) {  // the first one also makes what threads keep
      const std::unique_ptr<Block> block = family.MakeBlock(info.index, *model.source);
      const uint64_t before = MemoryOfTensors().now;
      ResetTensorPeak();
      out = Tensor();
      out = family.Forward(*block, context, hidden.view());
      held = MemoryOfTensors().peak - before;
    }
    const uint64_t said = family.ForwardBytes(info.index, form);
    EXPECT_LE(held, said + WeightBytes(info)) << "more is held than is said";
    EXPECT_LE(said, held + held / 2) << "much less is held than is said";
    hidden = std::move(out);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ForwardBytesTest,
                         testing::Values(Case{"llama-f32", "default"}, Case{"qwen3-bf16", "Qwen3-8B"},
                                         Case{"qwen2_5-bf16", "Qwen2.5-7B-Instruct"},
                                         Case{"qwen3_moe-f32", "Qwen3-30B"}, Case{"qwen3_moe-bf16", "Qwen3-30B"},
                                         Case{"qwen3_next-f32", "Qwen3-Next-80B-A3B-Instruct"},
                                         Case{"qwen3_next-bf16", "Qwen3-Next-80B-A3B-Instruct"},
                                         Case{"deepseek_v3-f32", "DeepSeek-V3"}, Case{"deepseek_v3-fp8", "DeepSeek-V3"},
                                         Case{"deepseek_v3_2-bf16", "DeepSeek-V3.2"}),
                         [](const auto& each) {
                           std::string name = each.param.model;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace modelslim
