// Checkpoints that are not what config.json's model is: other names, quantized already, multimodal, not Llama, with
// more in them than the model uses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "model/family.h"
#include "model/multimodal.h"
#include "model/open_weights.h"
#include "model/parts/layout_builder.h"
#include "model/quantized_source.h"
#include "model/source_forms.h"
#include "model/tensor_names.h"
#include "model/unused_tensors.h"

namespace modelslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// name -> type and shape; the values are zeros.
using Stored = std::map<std::string, std::pair<DType, Shape>>;

void Save(const fs::path& directory, const Stored& stored) {
  std::vector<Tensor> tensors;
  std::vector<std::pair<std::string, ConstView>> views;
  for (const auto& [name, what] : stored) tensors.push_back(Tensor::Zeros(what.first, what.second));
  size_t i = 0;
  for (const auto& [name, what] : stored) views.emplace_back(name, std::as_const(tensors[i++]).view());
  WriteSafetensors(directory / "model.safetensors", views);
}

// The tensors of Llama's layers, [2, 2] and [2] all of them.
Stored Llama(int layers, const std::string& prefix = "model.") {
  Stored stored = {{prefix + "embed_tokens.weight", {DType::kBF16, {2, 2}}},
                   {prefix + "norm.weight", {DType::kBF16, {2}}},
                   {"lm_head.weight", {DType::kBF16, {2, 2}}}};
  for (int i = 0; i < layers; ++i) {
    const std::string layer = prefix + "layers." + std::to_string(i) + ".";
    for (const char* const name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                   "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
      stored[layer + name + ".weight"] = {DType::kBF16, {2, 2}};
    for (const char* const name : {"input_layernorm", "post_attention_layernorm"})
      stored[layer + name + ".weight"] = {DType::kBF16, {2}};
  }
  return stored;
}

// ---- names ----

TEST(TensorNamesTest, OneOtherPrefixIsTakenOff) {
  for (const std::string prefix : {"", "model.language_model.", "language_model.model.", "language_model."}) {
    SCOPED_TRACE(prefix);
    const TemporaryDirectory dir;
    Stored stored = Llama(1, prefix);
    stored["visual.patch_embed.proj.weight"] = {DType::kBF16, {2}};
    stored["vision_tower.layers.0.input_layernorm.weight"] = {DType::kBF16, {2}};
    Save(dir.path(), stored);
    Checkpoint checkpoint(dir.path());
    EXPECT_THAT(NormalizeNames(&checkpoint), HasSubstr("'" + prefix + "layers.0...'"));
    for (const char* const name :
         {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight",
          "visual.patch_embed.proj.weight", "vision_tower.layers.0.input_layernorm.weight"})
      EXPECT_NE(checkpoint.Find(name), nullptr) << name;
    EXPECT_EQ(checkpoint.tensors().size(), stored.size());
    EXPECT_EQ(NormalizeNames(&checkpoint), "");
  }
}

TEST(TensorNamesTest, AHeadComesAlong) {
  const TemporaryDirectory dir;
  Stored stored = Llama(1, "language_model.model.");
  stored.erase("lm_head.weight");
  stored["language_model.lm_head.weight"] = {DType::kBF16, {2, 2}};
  Save(dir.path(), stored);
  Checkpoint checkpoint(dir.path());
  NormalizeNames(&checkpoint);
  EXPECT_NE(checkpoint.Find("lm_head.weight"), nullptr);
}

TEST(TensorNamesTest, TwoModelsAreNotGuessed) {
  const TemporaryDirectory dir;
  Stored stored = Llama(1, "thinker.model.");
  stored.merge(Llama(1, "talker.model."));
  Save(dir.path(), stored);
  Checkpoint checkpoint(dir.path());
  EXPECT_EQ(NormalizeNames(&checkpoint), "");
}

// ---- quantized already ----

struct QuantizedCase {
  const char* name;
  std::function<void(Stored&)> change;
  const char* config;
  const char* told;  // "": it is not quantized
};

TEST(QuantizedSourceTest, IsRecognizedByConfigAndByNames) {
  const std::string up = "model.layers.0.mlp.up_proj";
  const auto replace = [&](const char* suffix, DType type, Shape shape) {
    return [=](Stored& stored) {
      stored.erase(up + ".weight");
      stored[up + suffix] = {type, shape};
    };
  };
  const auto store = [&](DType type, const char* scale, DType scale_type, Shape scale_shape) {
    return [=](Stored& stored) {
      stored[up + ".weight"] = {type, {2, 2}};
      if (*scale != '\0') stored[up + scale] = {scale_type, scale_shape};
    };
  };
  const QuantizedCase cases[] = {
      {"float", [](Stored&) {}, "{}", ""},
      {"a key that is left over", [](Stored&) {}, R"({"quantization_config": {"quant_method": "gptq"}})", ""},
      {"gptq", replace(".qweight", DType::kI32, {1, 2}), R"({"quantization_config": {"quant_method": "gptq"}})",
       "gptq"},
      {"gptq without the key", replace(".qweight", DType::kI32, {1, 2}), "{}", "GPTQ or AWQ"},
      {"scales alone", replace(".scales", DType::kF32, {1, 2}), "{}", "GPTQ, AWQ or MLX"},
      {"mlx", store(DType::kU32, ".scales", DType::kBF16, {2, 1}), R"({"quantization": {"bits": 4, "mode": "affine"}})",
       "affine"},
      {"bitsandbytes", store(DType::kU8, ".weight.absmax", DType::kF32, {1}), "{}", "bitsandbytes"},
      {"int8", store(DType::kI8, ".weight_scale", DType::kBF16, {2, 1}), "{}", "already quantized"},
      {"fp8 per channel", store(DType::kF8E4M3, ".weight_scale", DType::kBF16, {2, 1}),
       R"({"quantization_config": {"quant_method": "compressed-tensors"}})", "compressed-tensors"},
      {"fp8 of one scale", store(DType::kF8E4M3, ".weight_scale_inv", DType::kF32, {}),
       R"({"quantization_config": {"quant_method": "fp8"}})", ""},  // read as floats
      {"block fp8", store(DType::kF8E4M3, ".weight_scale_inv", DType::kF32, {1, 1}),
       R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", ""},
      {"a float model with a scale of its own",
       [](Stored& stored) {
         stored["model.layers.0.mlp.weight_scale"] = {DType::kF32, {1}};
         stored["model.layers.0.mlp.weight"] = {DType::kBF16, {2}};
         stored["model.layers.0.router.scale"] = {DType::kBF16, {2}};
         stored["model.layers.0.ids"] = {DType::kI64, {2, 2}};
       },
       "{}", ""}};
  for (const QuantizedCase& each : cases) {
    SCOPED_TRACE(each.name);
    const TemporaryDirectory dir;
    Stored stored = Llama(1);
    each.change(stored);
    Save(dir.path(), stored);
    const Json config = ParseJson(each.config, "config.json");
    const Checkpoint checkpoint(dir.path());
    if (*each.told == '\0') {
      RefuseQuantizedSource(config, checkpoint, SourceForms(checkpoint, config));
      continue;
    }
    const Error error = ErrorOf([&] { RefuseQuantizedSource(config, checkpoint, SourceForms(checkpoint, config)); });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("already quantized"), HasSubstr(each.told), HasSubstr("up_proj")));
    EXPECT_THAT(error.tip(), HasSubstr("give the model it was made from"));
  }
}

TEST(QuantizedSourceTest, CodesWithoutTheirScalesAreADamagedFile) {
  const std::string up = "model.layers.0.mlp.up_proj";
  const std::pair<const char*, DType> codes[] = {{".weight_packed", DType::kI32}, {".weight", DType::kF8E4M3}};
  for (const auto& [suffix, type] : codes) {
    SCOPED_TRACE(suffix);
    const TemporaryDirectory dir;
    Stored stored = Llama(1);
    stored.erase(up + ".weight");
    stored[up + suffix] = {type, {2, 2}};
    Save(dir.path(), stored);
    const Json config =
        ParseJson(R"({"text_config": {"quantization_config": {"quant_method": "compressed-tensors"}}})", "config.json");
    const Checkpoint checkpoint(dir.path());
    const Error error = ErrorOf([&] { RefuseQuantizedSource(config, checkpoint, SourceForms(checkpoint, config)); });
    EXPECT_THAT(error.what(), AllOf(HasSubstr(up + suffix), HasSubstr("expected its scales in")));
    EXPECT_THAT(error.tip(), HasSubstr("from the same download"));
  }
}

TEST(QuantizedSourceTest, AnOutputIsNoSource) {
  const TemporaryDirectory dir;
  dir.Write("quant_model_description.json", "{}");
  WriteSafetensors(dir / "quant_model_weights.safetensors", {});
  ExpectError([&] { OpenWeights(dir.path(), Json{JsonObject()}); }, ErrorCode::kInvalidModel,
              {"an output of msModelSlim or modelslim (quant_model_description.json)", "already quantized"});
}

// ---- more than text ----

TEST(MultimodalTest, IsNamedAsWhatItIs) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"model_type": "qwen2_vl", "vision_config": {"depth": 32}, "rope_scaling": {"rope_type": "default"}})",
       "vision_config: expected the configuration of a language model, found a vision-language"},
      {R"({"model_type": "gemma3", "text_config": {}})", "text_config"},
      {R"({"model_type": "llava", "mm_vision_tower": "openai/clip"})", "mm_vision_tower"},
      {R"({"audio_config": {}})", "sound"}};
  for (const auto& [text, told] : cases) {
    SCOPED_TRACE(text);
    const Json config = ParseJson(text, "config.json");
    ExpectError([&] { RefuseMultimodal(config); }, ErrorCode::kUnsupported, {told});
  }
  RefuseMultimodal(ParseJson(R"({"model_type": "llama", "vision_config": null, "visual": false})", "config.json"));
}

// ---- what no output would have ----

class UnusedTest : public ::testing::Test {
 protected:
  std::vector<UnusedTensors> Group(const Stored& more) {
    Stored stored = {{"model.layers.0.self_attn.q_proj.weight", {DType::kBF16, {2, 2}}}};
    stored.insert(more.begin(), more.end());
    Save(directory_.path(), stored);
    checkpoint_.emplace(directory_.path());
    ModelLayout layout;
    layout.blocks.resize(1);
    layout.blocks[0].name = "model.layers.0";
    layout.blocks[0].modules = {LinearInfo("model.layers.0.self_attn.q_proj", 2, 2, DType::kBF16)};
    layout.left_out_prefixes = {"mtp."};
    layout.ignored_suffixes = {".inv_freq"};
    return GroupUnused(layout, *checkpoint_, CheckAgainstCheckpoint(layout, *checkpoint_));
  }
  TemporaryDirectory directory_;
  std::optional<Checkpoint> checkpoint_;
};

TEST_F(UnusedTest, EveryReasonHasItsWord) {
  const std::pair<const char*, const char*> cases[] = {
      {"visual.patch_embed.proj.weight", "a tower"},
      {"model.vision_tower.layers.0.fc1.weight", "a tower"},
      {"model.layers.0.self_attn.q_proj.bias", "parameters that config.json does not give"},
      {"model.layers.0.self_attn.q_proj.lora_A.weight", "an adapter"},
      {"model.layers.0.mlp.up_proj.weight", "modules that layers"},
      {"model.layers.1.self_attn.q_proj.weight", "layers beyond num_hidden_layers"},
      {"model.mtp.layers.0.eh_proj.weight", "layers for multi-token prediction (MTP)"},
      {"model.layers.0.self_attn.k_proj.k_scale", "scales of another quantization"},
      {"score.weight", "a head for another task"},
      {"something.else", "tensors that are not part of this model_type"}};
  for (const auto& [name, reason] : cases) {
    SCOPED_TRACE(name);
    const std::vector<UnusedTensors> groups = Group({{name, {DType::kBF16, {4}}}});
    ASSERT_EQ(groups.size(), 1u);
    EXPECT_THAT(std::string(groups[0].reason), StartsWith(reason));
    EXPECT_FALSE(groups[0].told_only);
    EXPECT_EQ(groups[0].bytes(), 8u);
    EXPECT_THAT(Describe(groups[0]), StartsWith(name));
  }
}

TEST_F(UnusedTest, WhatTheOriginalLeavesOutIsOnlyTold) {
  const std::vector<UnusedTensors> groups = Group({{"mtp.fc.weight", {DType::kBF16, {4}}}});
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_TRUE(groups[0].told_only);
  EXPECT_THAT(Group({{"model.rotary_emb.inv_freq", {DType::kF32, {4}}}}), IsEmpty());
}

TEST_F(UnusedTest, NumbersInNamesMakeOneGroup) {
  const std::vector<UnusedTensors> groups = Group({{"visual.blocks.0.fc1.weight", {DType::kBF16, {4}}},
                                                   {"visual.blocks.1.fc1.weight", {DType::kBF16, {4}}},
                                                   {"visual.blocks.0.fc2.weight", {DType::kBF16, {16}}}});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].pattern, "visual.blocks.*.fc2.weight");  // the larger one first
  EXPECT_EQ(groups[1].pattern, "visual.blocks.*.fc1.weight");
  EXPECT_EQ(groups[1].tensors.size(), 2u);
  EXPECT_THAT(Describe(groups[1]),
              AllOf(HasSubstr("2 tensors, 16 B"), HasSubstr("the first is visual.blocks.0.fc1.weight")));
}

TEST_F(UnusedTest, ALayerWithTheJoinOfAnMtpLayerIsOne) {
  for (const UnusedTensors& group : Group({{"model.layers.1.eh_proj.weight", {DType::kBF16, {4}}},
                                           {"model.layers.1.mlp.up_proj.weight", {DType::kBF16, {4}}}})) {
    EXPECT_THAT(std::string(group.reason), HasSubstr("MTP"));
  }
}

}  // namespace
}  // namespace modelslim
