// The practice library against that of msModelSlim 26.1.0: the parameters of its 89 practices, and what its look-up
// chooses.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "config/practices/practice.h"
#include "config/schema/schema.h"
#include "config/test_data.h"
#include "io/json.h"

namespace modelslim {
namespace {

fs::path Facts(const std::string& name) { return SourceDir() / "tests/golden/practices" / name; }

const PracticeRepository& Shipped() {
  static const PracticeRepository repository({SourceDir() / "lab_practice"});
  return repository;
}

std::string NameOf(const Practice& practice) { return practice.pedigree + "/" + practice.file.filename().string(); }

const Practice* Find(const std::string& name) {
  for (const Practice& each : Shipped().all()) {
    if (NameOf(each) == name) return &each;
  }
  return nullptr;
}

using Values = std::map<std::string, std::string>;

// What each step and saver is, by path.
void AddTypes(const std::vector<ProcessorConfig>& steps, const std::string& path, Values* values) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    (*values)[at + ".type"] = steps[i].type;
    if (const auto* group = steps[i].As<GroupConfig>()) AddTypes(group->configs, at + ".configs", values);
  }
}

// Everything that takes effect, by path; `prompts` are the texts that the facts leave out.
Values EffectiveValues(const Recipe& recipe, std::set<std::string>* prompts) {
  Values values;
  for (const EffectiveValue& each : recipe.values) {
    if (each.path.ends_with("_config.prompt")) {
      prompts->insert(each.value);
    } else {
      // Arguments of a diffusion pipeline keep their spelling.
      values[each.path] = each.value == "True" ? "true" : each.value == "False" ? "false" : each.value;
    }
  }
  const Metadata& metadata = recipe.metadata;
  for (const VerifiedTags& each : metadata.verified_tags) {
    std::string& text = values["verified_tags " + each.model_type];
    for (const std::vector<std::string>& scenario : each.scenarios) text += "[" + JoinWords(scenario) + "]";
  }
  if (const TextSpec* spec = recipe.text()) {
    AddTypes(spec->process, "spec.process", &values);
    for (const PriorStage& stage : spec->prior) AddTypes(stage.process, "spec.prior", &values);
    for (const SaverConfig& saver : spec->save) values["spec.save"] += saver.type + ";";
  }
  // In file order, which decides where patterns overlap.
  if (recipe.v0) {
    std::string& text = values["mix_cfg"];
    for (const V0CalibParams::Mix& each : recipe.v0->calib_params.mix_cfg)
      text += each.pattern + "=" + std::string(EnumName(each.type)) + ";";
  }
  return values;
}

// Warnings that the original's own parameters cause; everything else in a practice has its effect.
std::string UnexpectedWarnings(const std::string& name, const Diagnostics& diagnostics) {
  static const std::map<std::string, std::string> expected = {
      {"qwen3_moe/qwen3-30b-w4a8-v1.yaml", "group_size has no effect"},  // ssz does not look at it
      {"step_3_5_flash/step3_5_moe_w8a8.yaml", "default_text"},          // of another service
      {"qwen3/qwen3-32b-dense-w4a4.yaml", "scale_dtype has no effect"},  // of activations
  };
  std::string text;
  for (const Diagnostic& each : diagnostics.items()) {
    const auto known = expected.find(name);
    if (known == expected.end() || each.message.find(known->second) == std::string::npos)
      text += DiagnosticLine(each) + "\n";
  }
  return text;
}

std::string Difference(const Values& ours, const Values& theirs) {
  std::string text;
  for (const auto& [path, value] : theirs) {
    const auto found = ours.find(path);
    const std::string other = found == ours.end() ? "nothing" : found->second;
    if (other != value) text += path + ": " + other + " instead of " + value + "\n";
  }
  for (const auto& [path, value] : ours) {
    if (theirs.count(path) == 0) text += path + ": " + value + " instead of nothing\n";
  }
  return text;
}

TEST(PracticeFacts, EveryPracticeHasTheEffectiveValuesOfTheOriginal) {
  const Json facts = ReadJson(Facts("practices-26.1.0.json"));
  ASSERT_EQ(facts.object()->size(), 89u);
  for (const auto& [name, fact] : *facts.object()) {
    SCOPED_TRACE(name);
    const Practice* practice = Find(name);
    ASSERT_NE(practice, nullptr);
    Diagnostics diagnostics;
    const Recipe original = ParseRecipe(fact.Dump(), name, diagnostics);
    EXPECT_EQ(UnexpectedWarnings(name, diagnostics), "");  // nothing in the facts goes unread
    std::set<std::string> our_prompts, left_out;
    const Values ours = EffectiveValues(practice->recipe, &our_prompts);
    EXPECT_EQ(Difference(ours, EffectiveValues(original, &left_out)), "");
    EXPECT_EQ(our_prompts.size(), left_out.size());
    EXPECT_EQ(our_prompts.count("<text>"), 0u);
    EXPECT_EQ(practice->recipe.api_version, original.api_version);
  }
}

TEST(PracticeFacts, PracticesParseWithoutWarning) {
  EXPECT_TRUE(Shipped().problems().empty());
  EXPECT_GE(Shipped().all().size(), 96u);
  for (const Practice& each : Shipped().all()) {
    Diagnostics diagnostics;
    const Recipe recipe = LoadRecipe(each.file, diagnostics);
    EXPECT_EQ(UnexpectedWarnings(NameOf(each), diagnostics), "");
    EXPECT_TRUE(recipe.v0 || recipe.text() != nullptr) << each.file;
  }
}

// The first lines of a practice say where its parameters come from.
TEST(PracticeFacts, OriginsAreMarked) {
  const Json facts = ReadJson(Facts("practices-26.1.0.json"));
  for (const Practice& each : Shipped().all()) {
    std::string head;
    for (const std::string& line : Lines(each.file)) {
      if (!line.starts_with("#")) break;
      head += line + "\n";
    }
    const bool original = facts.Find(NameOf(each)) != nullptr;
    EXPECT_EQ(head.find("# Parameters of msModelSlim 26.1.0.\n") != std::string::npos, original) << each.file;
    const bool older = head.find("# From msModelSlim of December 2025") != std::string::npos;
    const bool ours = head.find("# Ours, not verified on hardware.") != std::string::npos;
    EXPECT_EQ(older || ours, !original) << each.file;
  }
}

// What a query chooses: the file, and "?" where the user is asked first.
std::string Chosen(const PracticeQuery& query) {
  const PracticeChoice choice = ChoosePractice(Shipped(), query);
  return NameOf(*choice.chosen) + (choice.needs_confirmation ? "?" : "");
}

// Where an older practice fills what 26.1.0 leaves to its defaults.
bool OlderPractice(const std::string& chosen) {
  const Practice* practice = Find(chosen.substr(0, chosen.find('?')));
  return practice != nullptr && practice->pedigree != "default" &&
         ReadTextFile(practice->file).find("# From msModelSlim of December 2025") != std::string::npos;
}

TEST(PracticeFacts, TheLookUpChoosesWhatTheOriginalChooses) {
  size_t compared = 0;
  for (const std::string& line : Lines(Facts("choices-26.1.0.jsonl"))) {
    const Json row = ParseJson(line, "choices");
    PracticeQuery query;
    query.model_type = *row.Find("model_type")->string();
    query.pedigree = *row.Find("pedigree")->string();
    if (const Json* tags = row.Find("tags")) {
      for (const Json& each : *tags->array()) query.tags.push_back(*each.string());
    }
    std::vector<std::string> types = QuantTypes();
    types.push_back("");  // none given
    for (const std::string& type : types) {
      SCOPED_TRACE(line + " " + type);
      query.quant_type = type;
      const Json* own = row.Find("chosen")->Find(type);
      std::string expected = own != nullptr ? *own->string() : *row.Find("others")->string();
      const std::string chosen = Chosen(query);
      ++compared;
      if (expected.starts_with("default/") && OlderPractice(chosen)) continue;
      // Asking before the general practice for a model that has no other would be new.
      if (query.pedigree == "default" && (type == "w8a8" || type == "w8a16")) expected.pop_back();
      EXPECT_EQ(chosen, expected);
      // A family that is not computed here leads to the same practice by the names in it.
      PracticeQuery unknown = query;
      unknown.pedigree = "default";
      if (!expected.starts_with("default/") && !expected.ends_with("?")) {
        EXPECT_EQ(Chosen(unknown), expected);
      }
    }
  }
  EXPECT_GE(compared, 1500u);
}

}  // namespace
}  // namespace modelslim
