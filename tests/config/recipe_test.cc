// What a parsed recipe holds.
#include "config/recipe/recipe.h"

#include <gmock/gmock.h>

namespace modelslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Recipe Good(const std::string& text) {
  Diagnostics diagnostics;
  Recipe recipe = ParseRecipe(text, "r.yaml", diagnostics);
  for (const Diagnostic& each : diagnostics.items()) ADD_FAILURE() << DiagnosticLine(each);
  return recipe;
}

std::string Origin(const Recipe& recipe, std::string_view path) {
  for (const EffectiveValue& value : recipe.values) {
    if (value.path == path)
      return value.value + " " + std::to_string(value.pos.line) + ":" + std::to_string(value.pos.column);
  }
  return "none";
}

TEST(Recipe, DefaultsAndGivenValues) {
  const Recipe recipe = Good(R"(apiversion: modelslim_v1
spec:
  process:
    - type: iter_smooth
      scale_min: 1e-2
      enable_subgraph_type: [ov, up-down]
      exclude: ["*.3.*"]
    - type: linear_quant
      qconfig:
        act: &a {scope: per_tensor, dtype: int8, symmetric: False, method: minmax}
        weight: {scope: per_channel, dtype: int8, symmetric: yes, method: ssz, ext: {step: "12"}}
  save: [{type: distributed_ascendv1_saver, part_file_size: 2.0}]
)");
  ASSERT_TRUE(recipe.v1);
  EXPECT_EQ(recipe.v1->runner, RunnerKind::kAuto);
  EXPECT_EQ(recipe.v1->dataset, "mix_calib.jsonl");
  ASSERT_EQ(recipe.v1->process.size(), 2u);
  const auto* smooth = recipe.v1->process[0].As<IterSmoothConfig>();
  ASSERT_NE(smooth, nullptr);
  EXPECT_EQ(smooth->alpha, 0.9);
  EXPECT_EQ(smooth->scale_min, 0.01);
  EXPECT_THAT(smooth->enable_subgraph_type, ElementsAre(SubgraphType::kOv, SubgraphType::kUpDown));
  EXPECT_TRUE(smooth->select.Selects("model.layers.2.mlp.up_proj"));
  EXPECT_FALSE(smooth->select.Selects("model.layers.3.mlp.up_proj"));
  EXPECT_EQ(smooth->select.exclude.items[0].pos, (SourcePos{7, 17}));
  const auto* linear = recipe.v1->process[1].As<LinearQuantConfig>();
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->qconfig.weight.ext.step, 12);
  EXPECT_EQ(linear->qconfig.weight.path, "spec.process[1].qconfig.weight");
  EXPECT_FALSE(linear->qconfig.act->symmetric);
  EXPECT_TRUE(linear->select.Selects("anything"));
  EXPECT_EQ(recipe.v1->process[1].path, "spec.process[1]");
  EXPECT_EQ(recipe.v1->save[0].type, "ascendv1_saver_distributed");
  EXPECT_EQ(recipe.v1->save[0].part_file_size, 2);
  EXPECT_EQ(Origin(recipe, "spec.process[0].scale_min"), "0.01 5:18");
  EXPECT_EQ(Origin(recipe, "spec.process[0].alpha"), "0.9 0:0");
  EXPECT_EQ(Origin(recipe, "spec.runner"), "auto 0:0");
}

TEST(Recipe, TheMinimalOneOfTheDocumentation) {
  const Recipe recipe = Good(
      "apiversion: modelslim_v1\nspec:\n  runner: auto\n  process: [ ]\n  save: [ ]\n  dataset: mix_calib.jsonl\n");
  EXPECT_TRUE(recipe.v1->process.empty());
  EXPECT_TRUE(recipe.v1->save.empty());
}

TEST(Recipe, AnchorsOfTheTopLevel) {
  const Recipe recipe = Good(R"(apiversion: modelslim_v1
dynamic: &dynamic
  act: {scope: per_token, dtype: int8, symmetric: True, method: minmax}
  weight: &weight {scope: per_channel, dtype: int8, symmetric: True, method: minmax}
spec:
  process:
    - type: group
      configs:
        - {type: linear_quant, qconfig: *dynamic, include: ["*mlp*"]}
        - type: linear_quant
          qconfig: {<<: *dynamic, weight: {<<: *weight, dtype: int4}}
          include: ["*self_attn*"]
  save:
    - type: ascendv1_saver
)");
  const auto* group = recipe.v1->process[0].As<GroupConfig>();
  ASSERT_EQ(group->configs.size(), 2u);
  EXPECT_EQ(group->configs[1].As<LinearQuantConfig>()->qconfig.weight.dtype, QDType::kInt4);
  EXPECT_EQ(group->configs[0].As<LinearQuantConfig>()->qconfig.weight.path,
            "spec.process[0].configs[0].qconfig.weight");
}

TEST(Recipe, EmptyAndMissingLists) {
  const Recipe recipe = Good(R"(apiversion: modelslim_v1
spec:
  process:
    - {type: smooth_quant, include: null, exclude: null}
    - {type: flex_smooth_quant, include: []}
    - {type: float_sparse}
    - {type: kv_smooth}
)");
  const auto& process = recipe.v1->process;
  EXPECT_TRUE(process[0].As<SmoothQuantConfig>()->select.Selects("x"));
  EXPECT_TRUE(process[1].As<FlexSmoothConfig>()->select.Selects("x"));
  EXPECT_FALSE(process[1].As<FlexSmoothConfig>()->alpha);
  EXPECT_TRUE(process[2].As<FloatSparseConfig>()->select.Selects("x"));
  EXPECT_TRUE(process[3].As<KvSmoothConfig>()->select.Selects("x"));
}

V0QuantType TypeOf(const std::string& calib) {
  return Good("apiversion: modelslim_v0\nspec:\n  calib_cfg: {" + calib + "}\n").v0->calib_cfg.effective.type;
}

TEST(RecipeV0, DerivedTypes) {
  EXPECT_EQ(TypeOf(""), V0QuantType::kW8A8);
  EXPECT_EQ(TypeOf("w_bit: 8, a_bit: 8, pdmix: true"), V0QuantType::kW8A8Mix);
  EXPECT_EQ(TypeOf("is_dynamic: true"), V0QuantType::kW8A8Dynamic);
  EXPECT_EQ(TypeOf("a_bit: 16"), V0QuantType::kW8A16);
  EXPECT_EQ(TypeOf("w_bit: 4, a_bit: 16, w_sym: false"), V0QuantType::kW4A16);
  EXPECT_EQ(TypeOf("w_bit: 16, a_bit: 16"), V0QuantType::kFloat);
  EXPECT_EQ(TypeOf("w_bit: 4, co_sparse: true"), V0QuantType::kW8A8S);
  EXPECT_EQ(TypeOf("w_bit: 4, is_lowbit: true"), V0QuantType::kW8A8S);
  EXPECT_EQ(TypeOf("w_bit: 4, is_lowbit: true, co_sparse: true"), V0QuantType::kW8A8S);
  EXPECT_EQ(TypeOf("w_bit: 4, a_bit: 4, is_dynamic: true"), V0QuantType::kW4A4FlatquantDynamic);
  EXPECT_EQ(TypeOf("w_bit: 4, is_dynamic: true, is_lowbit: true, open_outlier: false, group_size: 128"),
            V0QuantType::kW4A8Dynamic);
}

TEST(RecipeV0, PerGroupModeAndWinners) {
  const Recipe recipe = Good(
      "apiversion: modelslim_v0\nspec:\n  calib_cfg: {w_bit: 4, is_lowbit: true, co_sparse: true, open_outlier: false, "
      "do_smooth: true}\n"
      "  calib_params: {disable_level: L10, mix_cfg: {\"*b\": float, \"*a\": float}}\n  anti_cfg: {}\n"
      "  calib_save_params: {part_file_size: 4}\n");
  const auto& effective = recipe.v0->calib_cfg.effective;
  EXPECT_TRUE(effective.per_group);
  EXPECT_EQ(effective.group_size, 64);
  EXPECT_FALSE(effective.mm_tensor);
  EXPECT_FALSE(effective.do_smooth);
  EXPECT_FALSE(effective.co_sparse);
  EXPECT_EQ(recipe.v0->calib_params.disable_level, 10);
  EXPECT_EQ(recipe.v0->calib_params.mix_cfg[0].pattern, "*b");
  ASSERT_TRUE(recipe.v0->anti_cfg);
  EXPECT_EQ(recipe.v0->anti_cfg->anti_method, AntiMethod::kM2);
  EXPECT_EQ(recipe.v0->calib_dataset, "teacher_qualification.jsonl");
}

TEST(Recipe, MultimodalServicesRunLayerWise) {
  const Recipe vlm = Good("apiversion: multimodal_vlm_modelslim_v1\nspec: {dataset: calibImages}\n");
  EXPECT_EQ(vlm.vlm->runner, RunnerKind::kLayerWise);
  const Recipe sd = Good(R"(apiversion: multimodal_sd_modelslim_v1
spec:
  multimodal_sd_config:
    dump_config: {}
    model_config: {prompt: "一只狐狸!", frame_num: 121, offload_model: True, x: null}
)");
  ASSERT_TRUE(sd.sd);
  EXPECT_EQ(sd.sd->multimodal_sd_config.Find("frame_num")->text, "121");
  EXPECT_EQ(sd.sd->multimodal_sd_config.Find("offload_model")->kind, PipelineArgument::Kind::kBool);
  EXPECT_EQ(sd.sd->multimodal_sd_config.Find("y"), nullptr);
  EXPECT_EQ(sd.text(), &*sd.sd);
}

TEST(Diagnostics, RenderingPointsAtThePlace) {
  const std::string source = "apiversion: modelslim_v1\nspec: {runner: 自动, dataset: 3}\n";
  Diagnostics diagnostics;
  ParseRecipe(source, "r.yaml", diagnostics);
  ASSERT_EQ(diagnostics.error_count(), 2u);
  EXPECT_EQ(RenderDiagnostic(diagnostics.items()[0], source),
            "r.yaml:2:16: error 203: spec.runner: unknown value; expected auto, model_wise, layer_wise or "
            "dp_layer_wise, found the string 自动\n"
            "    spec: {runner: 自动, dataset: 3}\n"
            "                   ^\n");
  // Each of the two wide characters takes two columns.
  EXPECT_THAT(RenderDiagnostic(diagnostics.items()[1], source),
              HasSubstr("\n                                  ^\n  tip: put it in quotes: \"3\"\n"));
}

TEST(Diagnostics, ThrowHoldsAllErrors) {
  Diagnostics diagnostics;
  ParseRecipe("apiversion: modelslim_v2\nmetadata: {score: x}\n", "r.yaml", diagnostics);
  try {
    diagnostics.ThrowIfErrors();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kEnvironment);
    EXPECT_THAT(error.what(), HasSubstr("metadata.score"));
  }
}

TEST(Diagnostics, NearestWord) {
  const std::vector<std::string> words{"alpha", "beta", "enable_subgraph_type"};
  EXPECT_EQ(NearestWord("alhpa", words), "alpha");
  EXPECT_EQ(NearestWord("Alpha", words), "alpha");
  EXPECT_EQ(NearestWord("enable_subgraph_types", words), "enable_subgraph_type");
  EXPECT_EQ(NearestWord("gamma", words), "");
  EXPECT_EQ(NearestWord(std::string(100000, 'a'), words), "");
}

TEST(Recipe, FilesThatCannotBeRead) {
  Diagnostics diagnostics;
  EXPECT_THROW(LoadRecipe("/nowhere/recipe.yaml", diagnostics), Error);
  try {
    LoadRecipe("/etc/hostname", diagnostics);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSecurity);
  }
}

TEST(Recipe, AnHundredKilobytesAreNoProblem) {
  std::string text = "apiversion: modelslim_v1\nspec:\n  process:\n";
  while (text.size() < 100'000) {
    text +=
        "    - type: linear_quant\n      qconfig:\n        act: {scope: per_token, dtype: int8, symmetric: true, "
        "method: minmax}\n"
        "        weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}\n      include: "
        "[\"model.layers.{0..60}.mlp.*\"]\n";
  }
  EXPECT_GT(Good(text).v1->process.size(), 400u);
}

}  // namespace
}  // namespace modelslim
