// From the files of a model directory to a tokenizer, and which special tokens it puts.
#include "text/test_support.h"

namespace modelslim {
namespace {

// A small byte-level vocabulary with merges, as vocab.json and merges.txt hold it.
const std::string kVocabulary = [] {
  std::ifstream in(fs::path(MODELSLIM_TOKENIZERS) / "small" / "normalizer-NFC" / "tokenizer.json");
  return Json::parse(in)["model"].dump();
}();

std::string MergesText() {
  std::string text = "#version: 0.2\n";
  const Json model = Json::parse(kVocabulary);
  for (const auto& merge : model["merges"]) {
    text += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  return text;
}

TEST(Load, VocabularyFilesGiveWhatTokenizerJsonGives) {
  const TemporaryDirectory directory;
  const Json model = Json::parse(kVocabulary);
  directory.Write("vocab.json", model["vocab"].dump());
  directory.Write("merges.txt", MergesText());
  const int next = static_cast<int>(model["vocab"].size());
  directory.Write(
      "tokenizer_config.json",
      Json({{"tokenizer_class", "Qwen2Tokenizer"},
            {"added_tokens_decoder", {{std::to_string(next), {{"content", "<|im_end|>"}, {"special", true}}}}}})
          .dump());
  directory.Write("config.json", "{}");
  const auto tokenizer = Tokenizer::Load(directory.path());
  const std::string text = "The umbrella\u2019s e\u0301 12 \n\n x";
  Json json = SmallTokenizer();
  json["model"] = model;
  json["normalizer"] = {{"type", "NFC"}};
  const char* pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  EXPECT_EQ(tokenizer->Encode(text, true), Make(json)->Encode(text, true));
  EXPECT_EQ(tokenizer->Encode("<|im_end|>", true), (Ids{next}));
  EXPECT_EQ(tokenizer->vocab_size(), next + 1);
}

TEST(Load, VocabularyFilesOfOtherClasses) {
  const TemporaryDirectory directory;
  const Json model = Json::parse(kVocabulary);
  directory.Write("vocab.json", model["vocab"].dump());
  directory.Write("merges.txt", MergesText());
  directory.Write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  Json json = SmallTokenizer();
  json["model"] = model;
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  const std::string text = "1234 don't  e\u0301";
  EXPECT_EQ(Tokenizer::Load(directory.path())->Encode(text, true), Make(json)->Encode(text, true));
  directory.Write("tokenizer_config.json", R"({"tokenizer_class": "BartTokenizer"})");
  const Error error = ErrorOf([&] { Tokenizer::Load(directory.path()); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_NE(std::string(error.what()).find("BartTokenizer"), std::string::npos);
}

class Classes : public testing::Test {
 protected:
  // A template that puts c before and b behind, and a tokenizer_config.json of the given content.
  Ids Encode(const Json& config, bool checkpoint = true) {
    const TemporaryDirectory directory;
    Json json = SmallTokenizer();
    json["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single",
         {{{"SpecialToken", {{"id", "c"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
          {{"SpecialToken", {{"id", "b"}, {"type_id", 0}}}}}},
        {"special_tokens", {{"c", {{"id", "c"}, {"ids", {2}}}}, {"b", {{"id", "b"}, {"ids", {1}}}}}}};
    directory.Write("tokenizer.json", json.dump());
    if (!config.is_null()) directory.Write("tokenizer_config.json", config.dump());
    if (checkpoint) directory.Write("config.json", "{}");
    return Tokenizer::Load(directory.path())->Encode("a", true);
  }
};

TEST_F(Classes, TheFileIsObeyed) {
  EXPECT_EQ(Encode(nullptr), (Ids{2, 0, 1}));
  EXPECT_EQ(Encode({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"bos_token", "abc"}}), (Ids{2, 0, 1}));
  EXPECT_EQ(Encode({{"bos_token", "abc"}}), (Ids{2, 0, 1}));
}

TEST_F(Classes, LlamaGoesByItsFlags) {
  Json config = {{"tokenizer_class", "LlamaTokenizerFast"}, {"bos_token", "abc"}, {"eos_token", {{"content", " "}}}};
  EXPECT_EQ(Encode(config), (Ids{4, 0}));  // bos by default, no eos
  config["add_eos_token"] = true;
  EXPECT_EQ(Encode(config), (Ids{4, 0, 5}));
  config["add_bos_token"] = false;
  config["tokenizer_class"] = "LlamaTokenizer";
  EXPECT_EQ(Encode(config), (Ids{0, 5}));
  config["eos_token"] = "</s>";
  EXPECT_EQ(ErrorOf([&] { Encode(config); }).code(), ErrorCode::kInvalidModel);
  config.erase("bos_token");
  config.erase("eos_token");
  EXPECT_NE(std::string(ErrorOf([&] { Encode(config); }).what()).find("eos_token"), std::string::npos);
  config.erase("add_eos_token");
  EXPECT_EQ(Encode(config), (Ids{0}));  // the class's own <s> is not in this vocabulary
  config["add_bos_token"] = true;
  EXPECT_NE(std::string(ErrorOf([&] { Encode(config); }).what()).find("bos_token"), std::string::npos);
  config["add_eos_token"] = true;
  config["add_bos_token"] = false;
  EXPECT_NE(std::string(ErrorOf([&] { Encode(config); }).what()).find("eos_token"), std::string::npos);
}

TEST_F(Classes, Qwen2PutsNothing) { EXPECT_EQ(Encode({{"tokenizer_class", "Qwen2Tokenizer"}}), (Ids{0})); }

TEST_F(Classes, WithoutAModelTheClassDoesNotMatter) {
  EXPECT_EQ(Encode({{"tokenizer_class", "LlamaTokenizer"}, {"bos_token", "abc"}}, false), (Ids{2, 0, 1}));
}

TEST(Load, SpecialTokensAreLeftOutOnRequest) {
  Json json = SmallTokenizer();
  json["post_processor"] = {{"type", "BertProcessing"}, {"cls", {"c", 2}}, {"sep", {"b", 1}}};
  EXPECT_EQ(Make(json)->Encode("a", true), (Ids{2, 0, 1}));
  EXPECT_EQ(Make(json)->Encode("a", false), (Ids{0}));
  EXPECT_EQ(Make(json)->Encode("", true), (Ids{2, 1}));
}

TEST(Load, MissingFiles) {
  const TemporaryDirectory directory;
  const Error none = ErrorOf([&] { Tokenizer::Load(directory.path()); });
  EXPECT_EQ(none.code(), ErrorCode::kInvalidModel);
  EXPECT_NE(std::string(none.what()).find(directory.path().string()), std::string::npos);
  for (const char* name : {"tiktoken.model", "qwen.tiktoken", "tokenizer.model.v3"}) {
    const TemporaryDirectory other;
    other.Write(name, "x");
    const Error error = ErrorOf([&] { Tokenizer::Load(other.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
  }
}

TEST(Load, BadMergesNameTheLine) {
  const TemporaryDirectory directory;
  directory.Write("vocab.json", R"({"a": 0, "b": 1})");
  directory.Write("merges.txt", "#version: 0.2\n\na b c\n");
  EXPECT_NE(std::string(ErrorOf([&] { Tokenizer::Load(directory.path()); }).what()).find("merges.txt:3"),
            std::string::npos);
}

}  // namespace
}  // namespace modelslim
