#include "config/practices/practice.h"

#include <gmock/gmock.h>

#include <set>

#include "base/temporary_directory.h"
#include "config/recipe/commands.h"
#include "config/test_data.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const PracticeRepository& Shipped() {
  static const PracticeRepository repository({SourceDir() / "lab_practice"});
  return repository;
}

std::string Chosen(const std::string& model, const std::string& pedigree, const std::string& type) {
  const PracticeChoice choice = ChoosePractice(Shipped(), {model, pedigree, type, {}});
  return choice.chosen->metadata().config_id + (choice.needs_confirmation ? "?" : "");
}

TEST(QuantType, Parse) {
  const QuantTypeRequest c8 = QuantTypeRequest::Parse("w8a8c8");
  EXPECT_EQ(c8.w_bit, 8);
  EXPECT_TRUE(c8.kv_cache);
  EXPECT_FALSE(c8.sparse);
  const QuantTypeRequest sparse = QuantTypeRequest::Parse("w16a16s");
  EXPECT_EQ(sparse.a_bit, 16);
  EXPECT_TRUE(sparse.sparse);
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4f8").fa_bit, 8);
  EXPECT_THROW(QuantTypeRequest::Parse("w8a8x"), Error);
  EXPECT_THROW(QuantTypeRequest::Parse(""), Error);
}

TEST(QuantType, LabelRules) {
  Label label;
  label.w_bit = 8;
  label.a_bit = 8;
  EXPECT_EQ(QuantTypeRequest::Parse("w8a8").Mismatch(label), "");
  EXPECT_EQ(QuantTypeRequest::Parse("w4a8").Mismatch(label), "makes w8a8, not w4a8");
  EXPECT_EQ(QuantTypeRequest::Parse("w8a8s").Mismatch(label), "is not sparse");
  EXPECT_EQ(QuantTypeRequest::Parse("w8a8c8").Mismatch(label), "does not quantize the KV cache");
  label.kv_cache = true;
  EXPECT_EQ(QuantTypeRequest::Parse("w8a8").Mismatch(label), "quantizes the KV cache");
  EXPECT_EQ(QuantTypeRequest::Parse("w8a8").Mismatch(Label{}), "makes w?a?, not w8a8");
}

TEST(QuantType, AttentionBits) {
  Label label;
  label.w_bit = 4;
  label.a_bit = 4;
  label.fa_quant = true;
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4f8").Mismatch(label), "");  // 8 bits where fa_bit is not given
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4f4").Mismatch(label), "quantizes attention to 8 bits");
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4").Mismatch(label), "quantizes attention");
  label.fa_bit = 4;
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4f4").Mismatch(label), "");
  label = Label{};
  label.w_bit = 4;
  label.a_bit = 4;
  EXPECT_EQ(QuantTypeRequest::Parse("w4a4f4").Mismatch(label), "does not quantize attention");
}

TEST(Practices, AllAreReadAndNamesDiffer) {
  EXPECT_THAT(Shipped().problems(), IsEmpty());
  EXPECT_GE(Shipped().all().size(), 96u);
  std::set<std::string> names;
  for (const Practice& each : Shipped().all()) {
    EXPECT_TRUE(names.insert(each.pedigree + "/" + each.metadata().config_id).second) << each.file;
  }
}

TEST(Practices, LookUp) {
  EXPECT_EQ(Chosen("Qwen3-14B", "qwen3", "w8a8"), "qwen3-14b-dense-w8a8");
  EXPECT_EQ(Chosen("Qwen3-14B", "qwen3", "w8a8s"), "qwen3-14b-w8a8s");
  EXPECT_EQ(Chosen("Qwen3-32B", "qwen3", "w8a8c8"), "qwen3-32b-dense-w8a8c8");
  EXPECT_EQ(Chosen("Qwen3-32B", "qwen3", "w16a16s"), "qwen3-32b-dense-w16a16s");
  EXPECT_EQ(Chosen("Qwen3-32B", "qwen3", "w4a4"), "qwen3-32b-dense-w4a4");
  EXPECT_EQ(Chosen("DeepSeek-V3.1", "deepseek_v3", "w4a8c8"), "deepseekv3_w4a8c8_per_channel");
  EXPECT_EQ(Chosen("Wan2.2", "wan2_2", "w8a8"), "wan2_2_w8a8_dynamic");
  EXPECT_EQ(Chosen("hunyuan_video", "hunyuan_video", "w8a8"), "hunyuan_video_w8a8_int8");
}

TEST(Practices, UnknownModelsTakeTheDefaultSilently) {
  EXPECT_EQ(Chosen("SomeModel", "default", "w8a8"), "default-w8a8");
  EXPECT_EQ(Chosen("SomeModel", "default", "w8a16"), "default-w8a16");
}

TEST(Practices, ModelsWithoutAFamilyHereAreFoundByName) {
  EXPECT_EQ(Chosen("GLM-4.7", "default", "w8a8"), "glm4-7-moe-w8a8-v1");
  EXPECT_EQ(Chosen("Wan2.2-T2V-A14B", "default", "w4a4f4"), "wan2_2_w4a4f4_mxfp_t2v");
  EXPECT_EQ(Chosen("Qwen2.5-VL-7B-Instruct", "default", "w8a8"), "qwen2.5-vl-7b-w8a8-mxfp8");
}

TEST(Practices, FallBacksAskFirst) {
  EXPECT_EQ(Chosen("DeepSeek-R1", "deepseek_v3", "w8a8"), "default-w8a8?");
  EXPECT_EQ(Chosen("Qwen3-8B", "qwen3", "w8a16"), "default-w8a16?");
  EXPECT_EQ(Chosen("Qwen3-14B", "qwen3", "w4a8"), "qwen3-14b-dense-w8a8?");  // its own for w8a8
  EXPECT_EQ(Chosen("SomeModel", "default", "w4a8"), "default-w8a8?");
  EXPECT_EQ(Chosen("SomeModel", "no_such_pedigree", "w8a8"), "default-w8a8?");
  EXPECT_EQ(Chosen("Qwen3-14B", "qwen3", ""), "qwen3-14b-dense-w8a8?");
  const PracticeChoice choice = ChoosePractice(Shipped(), {"DeepSeek-R1", "deepseek_v3", "w4a8", {}});
  EXPECT_THAT(choice.question, HasSubstr("no best practice makes w4a8 for DeepSeek-R1"));
  ASSERT_FALSE(choice.passed_over.empty());
  EXPECT_THAT(choice.passed_over[0].reason, HasSubstr("not verified for DeepSeek-R1"));
}

TEST(Practices, AnEmptyRepositoryHasNothing) {
  const PracticeRepository empty({"/no/such/directory"});
  EXPECT_THROW(ChoosePractice(empty, {"m", "default", "w8a8", {}}), Error);
  EXPECT_THAT(empty.Pedigrees(), IsEmpty());
}

class OwnPractices : public ::testing::Test {
 protected:
  void Put(const std::string& name, const std::string& metadata) const {
    temporary_.Write(name, "apiversion: modelslim_v1\nmetadata: {" + metadata + "}\nspec: {}\n");
  }
  const TemporaryDirectory temporary_;
  const fs::path& root_ = temporary_.path();
};

TEST_F(OwnPractices, OrderAndIds) {
  Put("f/b.yaml", "config_id: b, score: 90, label: {w_bit: 8, a_bit: 8}");
  Put("f/a.yaml", "config_id: a, score: 90, label: {w_bit: 8, a_bit: 8}");
  Put("f/z.yaml", "config_id: z, score: 90.5, label: {w_bit: 4, a_bit: 8}");
  Put("f/other.yaml", "config_id: named_so, score: 1");
  Put("f/broken.yaml", "config_id: [1]");
  const PracticeRepository repository({root_});
  std::vector<std::string> order;
  for (const Practice* each : repository.Of("f")) order.push_back(each->metadata().config_id);
  EXPECT_THAT(order, ElementsAre("z", "a", "b", "named_so"));
  EXPECT_EQ(repository.problems().size(), 1u);
  EXPECT_EQ(FindPracticeById(repository, "f", "a").file.stem(), "a");
  EXPECT_THROW(FindPracticeById(repository, "f", "named_so"), Error);
  EXPECT_THROW(FindPracticeById(repository, "f", "nothing"), Error);
  const PracticeChoice choice = ChoosePractice(repository, {"m", "f", "w8a8", {}});
  EXPECT_EQ(choice.chosen->metadata().config_id, "a");
  ASSERT_EQ(choice.passed_over.size(), 1u);
  EXPECT_EQ(choice.passed_over[0].reason, "makes w4a8, not w8a8");
}

TEST_F(OwnPractices, TagsShouldShareAScenario) {
  Put("f/a.yaml", "config_id: a, label: {w_bit: 8, a_bit: 8}, verified_tags: {m: [[X, y], [z]]}");
  Put("f/b.yaml", "config_id: b, score: 90, label: {w_bit: 8, a_bit: 8}, verified_tags: {m: [[x, z]], n: [[q]]}");
  Put("f/c.yaml", "config_id: c, score: 80, label: {w_bit: 8, a_bit: 8}");
  Put("default/d.yaml", "config_id: d, label: {w_bit: 8, a_bit: 8}");
  const PracticeRepository repository({root_});
  const auto chosen = [&](const std::string& model, const std::vector<std::string>& tags) {
    const PracticeChoice choice = ChoosePractice(repository, {model, "f", "w8a8", tags});
    return choice.chosen->metadata().config_id + (choice.needs_confirmation ? "?" : "");
  };
  EXPECT_EQ(chosen("m", {}), "a");
  EXPECT_EQ(chosen("m", {"Y", "x"}), "a");  // in any case
  EXPECT_EQ(chosen("m", {"x", "z"}), "b");
  EXPECT_EQ(chosen("m", {"q"}), "a?");  // verified, but in another scenario: before the general one
  EXPECT_EQ(chosen("n", {}), "b");      // a is only for m
  EXPECT_EQ(chosen("other", {}), "c");  // says nothing about models
  EXPECT_EQ(chosen("other", {"x"}), "d?");
  const PracticeChoice choice = ChoosePractice(repository, {"m", "f", "w8a8", {"q", "x"}});
  EXPECT_THAT(choice.reason, HasSubstr("not for q + x (only for X + y, z)"));
  EXPECT_THAT(choice.question, HasSubstr("Continue with f/a?"));
}

TEST_F(OwnPractices, ModelTypesGoBeforeTags) {
  Put("f/a.yaml", "config_id: a, label: {w_bit: 8, a_bit: 8}, verified_model_types: [m], verified_tags: {n: [[x]]}");
  Put("default/d.yaml", "config_id: d, label: {w_bit: 8, a_bit: 8}, verified_model_types: [somebody]");
  const PracticeRepository repository({root_});
  EXPECT_EQ(ChoosePractice(repository, {"m", "f", "w8a8", {"y"}}).chosen->metadata().config_id, "a");
  EXPECT_EQ(ChoosePractice(repository, {"n", "f", "w8a8", {"x"}}).chosen->metadata().config_id, "d");
}

TEST(Practices, Answers) {
  for (const char* yes : {"y", "Y", "yes", " YES \n"}) EXPECT_TRUE(IsYes(yes)) << yes;
  for (const char* no : {"", "n", "no", "yeah", "yy"}) EXPECT_FALSE(IsYes(no)) << no;
}

TEST(Practices, ListingAndExplanation) {
  std::ostringstream list, json, choice;
  ListPractices(Shipped(), list, false);
  EXPECT_THAT(list.str(), HasSubstr("qwen3-32b-dense-w8a8  w8a8  score 90  modelslim_v0  Qwen3-32B"));  // by its tags
  EXPECT_THAT(list.str(), HasSubstr("qwen3-32b-dense-w8a8c8  w8a8c8  score 90  modelslim_v1  Qwen3-32B"));
  ListPractices(Shipped(), json, true);
  EXPECT_THAT(json.str(), HasSubstr("\"config_id\": \"default-w8a8\""));
  ExplainChoice(ChoosePractice(Shipped(), {"Qwen3-32B", "qwen3", "w8a8c8", {}}), choice, false);
  EXPECT_THAT(choice.str(), HasSubstr("passed over"));
  EXPECT_THAT(choice.str(), HasSubstr("does not quantize the KV cache"));
}

}  // namespace
}  // namespace modelslim
