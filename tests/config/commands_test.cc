#include "config/recipe/commands.h"

#include <gmock/gmock.h>

#include "base/temporary_directory.h"
#include "config/test_data.h"

namespace modelslim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Commands : public ::testing::Test {
 protected:
  std::string Put(const std::string& name, const std::string& text) const { return folder_.Write(name, text).string(); }
  const TemporaryDirectory folder_;
  std::ostringstream out_, err_;
};

TEST_F(Commands, CheckReportsEveryFile) {
  const std::string good = Put("good.yaml", "apiversion: modelslim_v0\nspec: {calib_cfg: {w_bit: 8, a_bit: 16}}\n");
  const std::string bad = Put("bad.yaml", "apiversion: modelslim_v1\nspec: {runner: fast, dataset: 1, foo: 2}\n");
  EXPECT_EQ(RecipeCheck({good}, out_, err_), 0);
  EXPECT_EQ(out_.str(), good + ": ok (modelslim_v0, W8A16)\n");
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(RecipeCheck({bad, good, "/no/such.yaml"}, out_, err_), 1);
  EXPECT_THAT(out_.str(), HasSubstr(bad + ": 2 errors, 1 warning\n"));
  EXPECT_THAT(out_.str(), HasSubstr("/no/such.yaml: 1 error\n"));
  EXPECT_THAT(err_.str(), HasSubstr("    spec: {runner: fast"));
  EXPECT_THAT(err_.str(), HasSubstr("No such file"));
}

TEST_F(Commands, ExplainNamesTheOriginOfEveryValue) {
  const std::string file =
      Put("r.yaml", "apiversion: modelslim_v1\nspec:\n  process:\n  - {type: smooth_quant, alpha: 0.6}\n");
  EXPECT_EQ(RecipeExplain(file, out_, err_), 0);
  EXPECT_THAT(out_.str(), HasSubstr("spec.runner: auto"));
  EXPECT_THAT(out_.str(), ::testing::ContainsRegex("spec.process.0..alpha: 0.6 +# .*r.yaml:4:33\n"));
  EXPECT_THAT(out_.str(), ::testing::ContainsRegex("spec.process.0..symmetric: true +# default\n"));
  EXPECT_EQ(RecipeExplain(Put("b.yaml", "x"), out_, err_), 1);
}

TEST_F(Commands, ExplainNamesTypesAndWhatTakesEffect) {
  const std::string file = Put("r.yaml",
                               "apiversion: multimodal_vlm_modelslim_v1\n"
                               "metadata: {verified_tags: {Some-Model: [[vLLM_Ascend, Atlas_A2]]}}\n"
                               "spec:\n"
                               "  process:\n"
                               "  - {type: group, configs: [{type: quarot}]}\n"
                               "  save: [{type: distributed_ascendv1_saver}]\n"
                               "  dataset: calibImages\n"
                               "  prior: [{process: [{type: adapt_rotation, stage: 1}]}]\n");
  EXPECT_EQ(RecipeExplain(file, out_, err_), 0) << err_.str();
  for (const char* line :
       {"metadata.verified_tags.Some-Model: ..vLLM_Ascend, Atlas_A2.. +# .*r.yaml:2:28\n",
        "spec.runner: layer_wise +# default\n", "spec.process.0..type: group +# .*r.yaml:5:12\n",
        "spec.process.0..configs.0..type: quarot +# ", "spec.save.0..type: ascendv1_saver_distributed +# ",
        "spec.prior.0..process.0..type: adapt_rotation +# "}) {
    EXPECT_THAT(out_.str(), ::testing::ContainsRegex(line));
  }
  EXPECT_EQ(
      RecipeExplain(Put("auto.yaml", "apiversion: multimodal_vlm_modelslim_v1\nspec: {runner: auto}\n"), out_, err_),
      0);
  EXPECT_THAT(out_.str(), ::testing::ContainsRegex("spec.runner: layer_wise +# .*auto.yaml:2:16\n"));
}

TEST_F(Commands, ProcessorLists) {
  ListProcessors(out_, false);
  EXPECT_THAT(out_.str(), HasSubstr("iter_smooth\n"));
  EXPECT_THAT(out_.str(), HasSubstr("    scale_min: a number, a value in (0, 1)  (default: 1e-05)"));
  EXPECT_THAT(out_.str(), ::testing::Not(HasSubstr("_abstract_flex_smooth_base_")));
  std::ostringstream json;
  ListProcessors(json, true);
  EXPECT_THAT(json.str(), HasSubstr("\"type\": \"autoround_quant\""));
}

TEST_F(Commands, ReferencePagesOfTheRepositoryAreUpToDate) {
  EXPECT_THAT(WriteReferencePages(SourceDir() / "docs/recipes", false), IsEmpty())
      << "run `modelslim recipe reference` (or WriteReferencePages) and commit docs/recipes";
}

TEST_F(Commands, ReferencePagesAreCompleteInBothLanguages) {
  EXPECT_EQ(WriteReferencePages(folder_.path()).size(), 10u);
  EXPECT_THAT(WriteReferencePages(folder_.path()), IsEmpty());
  for (const char* language : {"en", "zh"}) {
    std::string all;
    for (const fs::directory_entry& page : fs::directory_iterator(folder_ / language)) all += ReadTextFile(page.path());
    for (const char* text : {"`scale_min`", "`fa_k`", "`disable_names`", "## kv_smooth", "`dual_block_size`",
                             "W4A8_MXFP", "`enable_dump`"}) {
      EXPECT_THAT(all, HasSubstr(text)) << language;
    }
    EXPECT_THAT(all, ::testing::Not(HasSubstr("|  |"))) << language;  // an empty cell is a missing translation
  }
}

TEST_F(Commands, JsonSchemaOfTheRepositoryIsUpToDate) {
  WriteJsonSchema(out_);
  EXPECT_EQ(out_.str(), ReadTextFile(SourceDir() / "schema/recipe.schema.json"));
}

}  // namespace
}  // namespace modelslim
