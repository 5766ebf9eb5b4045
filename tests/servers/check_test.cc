// The rules for servers, on outputs made of a few names.
#include "servers/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace modelslim {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::string_view kMlp = "model.layers.0.mlp.", kExpert = "model.layers.0.mlp.experts.0.";
constexpr KeptFloat kRouter = {
    ".mlp.gate",
    "routers",
    "a reason",
    {{{Outcome::kWrong, "a"}, {Outcome::kRefused, "b"}, {Outcome::kRefused, "b"}, {Outcome::kUnknown, ""}}}};

struct Tensor {
  std::string name, type;
  int64_t columns = 64;
};

Served Of(const std::vector<Tensor>& tensors, std::string model_type = "qwen3") {
  Served served;
  served.model_type = std::move(model_type);
  served.decoder_layers = 4;
  for (const Tensor& tensor : tensors) served.Add(tensor.name, tensor.type, tensor.columns);
  return served;
}

// The three projections of an MLP or an expert, all of one type.
std::vector<Tensor> Unit(std::string_view prefix, const std::string& type, int64_t scales = 1) {
  std::vector<Tensor> tensors;
  for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
    tensors.push_back({std::string(prefix) + name + ".weight_scale", type, scales});
    tensors.push_back({std::string(prefix) + name + ".weight", type});
  }
  return tensors;
}

std::vector<Tensor> operator+(std::vector<Tensor> a, const std::vector<Tensor>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What the servers do, a letter each: . takes, ? unknown, u unread, l loss, R refused, W wrong.
std::string Letters(const Verdicts& verdicts) {
  std::string text;
  for (const Verdict& verdict : verdicts) text += ".?ulRW"[static_cast<size_t>(verdict.outcome)];
  return text;
}

std::string OnlyFinding(const Served& served) {
  const std::vector<Finding> findings = CheckServed(served, {});
  if (findings.empty()) return "";
  EXPECT_THAT(findings, SizeIs(1)) << findings.back().subject;
  return Letters(findings.front().verdicts);
}

TEST(CheckServed, TypesByKindOfLayer) {
  struct Case {
    const char* type;
    int64_t scales;
    const char *dense, *experts;  // "": nothing to say
  };
  const Case cases[] = {{"FLOAT", 1, "", "..R."},
                        {"W8A8_DYNAMIC", 1, "", ""},
                        {"W8A8", 1, "", "RRRW"},
                        {"W8A8_MIX", 1, "..W.", "WRRW"},
                        {"W8A8_MXFP8", 3, "", "...W"},
                        {"W4A8_MXFP", 3, "...W", "...W"},
                        {"W4A4_MXFP4", 3, "...W", "...W"},
                        {"W4A8_DYNAMIC", 1, "RRRW", ""},
                        {"W8A16", 1, "..WW", "RRRW"},
                        {"W8A16", 4, "RRWW", "RRRW"},
                        {"W8A8_DYNAMIC", 4, "RRRR", "RRRR"},
                        {"WFP8AFP8_DYNAMIC", 1, "RRWW", "RRRW"},
                        {"W16A16S", 1, "RR..", "RRR."},
                        {"W8A8FP8_DYNAMIC", 1, "..WW", "..RW"},
                        {"W9A9", 1, "RRWW", "RRRW"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.type) + " " + std::to_string(each.scales));
    // A layer elsewhere in 8 bits, so that the model is a quantized one in any case.
    Served dense = Of(Unit(kMlp, each.type, each.scales)), experts = Of(Unit(kExpert, each.type, each.scales));
    dense.model_quant_type = experts.model_quant_type = each.type;
    EXPECT_EQ(OnlyFinding(dense), each.dense);
    EXPECT_EQ(OnlyFinding(experts), each.experts);
  }
}

TEST(CheckServed, WhatAFamilyKeepsFloat) {
  const Served served = Of({{"model.layers.0.mlp.gate.weight", "W8A8_DYNAMIC"},
                            {"model.layers.1.mlp.gate.weight", "W8A8_DYNAMIC"},
                            {"model.layers.2.mlp.gate.weight", "FLOAT"}},
                           "qwen3_next");
  EXPECT_THAT(CheckServed(served, {}), IsEmpty());
  const std::vector<Finding> findings = CheckServed(served, {&kRouter, 1});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].names, SizeIs(2));
  EXPECT_EQ(findings[0].kept, &kRouter);
  EXPECT_EQ(FindingText(findings[0], EveryServer()),
            "routers of type W8A8_DYNAMIC (2 layers, for example model.layers.0.mlp.gate): a reason. "
            "vLLM-Ascend 0.23.0.post1: silently wrong (a); vLLM-Ascend main 182b75e, SGLang 0.5.23: refused (b). "
            "Better: exclude \"*.mlp.gate\"");
}

TEST(CheckServed, FusedLayersHaveOneType) {
  const std::vector<Finding> findings = CheckServed(Of({{"model.layers.0.self_attn.q_proj.weight", "W8A8"},
                                                        {"model.layers.0.self_attn.k_proj.weight", "W8A8"},
                                                        {"model.layers.0.self_attn.v_proj.weight", "FLOAT"},
                                                        {"model.layers.0.self_attn.o_proj.weight", "FLOAT"},
                                                        {"model.norm.weight", "FLOAT"}}),
                                                    {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(Letters(findings[0].verdicts), "RRWR");
  EXPECT_THAT(findings[0].subject, HasSubstr("self_attn.v_proj is FLOAT"));
  // Experts are one layer, whichever of their projections differs.
  EXPECT_THAT(
      CheckServed(Of(Unit(kExpert, "W8A8_DYNAMIC") + Unit("model.layers.0.mlp.experts.1.", "W4A8_DYNAMIC")), {}),
      SizeIs(1));
}

TEST(CheckServed, OneGroupSizeForTheWholeModel) {
  Served served = Of(Unit(kExpert, "W4A8_DYNAMIC"));
  EXPECT_EQ(OnlyFinding(served), "");
  served.group_size = 32;
  EXPECT_EQ(OnlyFinding(served), "WR.?");
  served.has_group_size = false;
  EXPECT_EQ(OnlyFinding(served), "W..?");
}

TEST(CheckServed, ScalesOfMxTypesInPairs) {
  const auto with_inputs = [](std::string_view prefix, const char* type, int64_t columns) {
    return OnlyFinding(Of({{std::string(prefix) + "down_proj.weight", type, columns}}, "llama"));
  };
  EXPECT_EQ(with_inputs(kMlp, "W8A8_MXFP8", 96), "");
  EXPECT_EQ(with_inputs(kExpert, "W8A8_MXFP8", 96), "R?R?");
  EXPECT_EQ(with_inputs(kExpert, "W8A8_MXFP8", 128), "");
  EXPECT_EQ(with_inputs(kMlp, "W4A8_MXFP", 48), "R?R?");
  EXPECT_EQ(with_inputs(kMlp, "W4A4_MXFP4", 32), "");
}

TEST(CheckServed, AttentionAndRotations) {
  const std::string attention = "model.layers.2.self_attn";
  EXPECT_EQ(OnlyFinding(Of({{attention + ".fa_k.scale", "FAQuant", 1}}, "deepseek_v3")), "..u?");
  EXPECT_EQ(OnlyFinding(Of({{attention + ".k_proj.kv_cache_scale", "C8"}})), "..u?");
  // Layer 4 comes after the decoder's: it is for multi-token prediction.
  const auto drafts = CheckServed(Of({{"model.layers.4.self_attn.fa_k.scale", "FAQuant", 1}}, "deepseek_v3"), {});
  ASSERT_FALSE(drafts.empty());
  EXPECT_EQ(Letters(drafts[0].verdicts), "RRu?");
  Served rotated = Of({{attention + ".indexer.q_rot", "FLOAT"}}, "deepseek_v32");
  EXPECT_EQ(OnlyFinding(rotated), "RRW?");
  rotated.indexer_quantized = true;
  EXPECT_EQ(OnlyFinding(rotated), "");
}

TEST(CheckServed, ModelsThatAServerWasNotReadFor) {
  Served served = Of(Unit(kMlp, "W4A8_MXFP"), "llama");
  EXPECT_THAT(CheckServed(served, {}), IsEmpty());  // "...W", were it Qwen3
}

TEST(CheckServed, WhatIsNotALayer) {
  EXPECT_THAT(CheckServed(Of({{"model.layers.0.input_layernorm.bias", "FLOAT"}, {"rotation", ""}}), {}), IsEmpty());
}

TEST(ServerChoice, NamesAndVersions) {
  EXPECT_FALSE(ChooseServers({}, "").by_name);
  const ServerChoice ascend = ChooseServers({"vllm-ascend"}, "");
  EXPECT_EQ(ascend.asked, (std::array<bool, kServerCount>{true, true, false, false}));
  EXPECT_EQ(ChooseServers({"vllm-ascend"}, "0.23").asked, (std::array<bool, kServerCount>{true, false, false, false}));
  EXPECT_THROW(ChooseServers({"vllm-ascend"}, "0.22"), Error);
  EXPECT_THROW(ChooseServers({}, "0.23"), Error);
  EXPECT_THROW(ChooseServers({"vllm"}, ""), Error);
}

TEST(ServerChoice, WhatWasOnlyReadWarnsWhenItIsNamed) {
  const Verdicts verdicts = TypeRowOf("W4A8_MXFP", false).linear;
  EXPECT_FALSE(IsWarning(verdicts, EveryServer()));
  EXPECT_TRUE(IsWarning(verdicts, ChooseServers({"mindie"}, "")));
  EXPECT_FALSE(IsWarning(verdicts, ChooseServers({"sglang"}, "")));
  EXPECT_THAT(VerdictText(verdicts, ChooseServers({"sglang"}, "")), Not(HasSubstr("MindIE")));
}

}  // namespace
}  // namespace modelslim
