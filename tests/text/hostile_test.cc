// tokenizer.json files with one thing wrong: each is refused with the place of what is wrong.
#include <algorithm>

#include "text/test_support.h"

namespace modelslim {
namespace {

// What stands at `pointer` is replaced by the JSON text `value`, or taken away where that is empty.
struct Broken {
  const char* name;
  const char* pointer;
  const char* value;
  const char* place;  // must be in the message
  ErrorCode code;
};

constexpr ErrorCode kInvalid = ErrorCode::kInvalidModel, kUnsupported = ErrorCode::kUnsupported;
constexpr Broken kCases[] = {
    {"no model", "/model", R"()", "model: expected", kInvalid},
    {"model of another kind", "/model", R"(3)", "model", kInvalid},
    {"unigram", "/model/type", R"("Unigram")", "model", kUnsupported},
    {"no vocabulary", "/model/vocab", R"()", "model", kInvalid},
    {"vocabulary as a list", "/model/vocab", R"([])", "model.vocab", kInvalid},
    {"id as text", "/model/vocab/b", R"("1")", "model.vocab.b", kInvalid},
    {"negative id", "/model/vocab/b", R"(-1)", "model.vocab.b", kInvalid},
    {"huge id", "/model/vocab/b", R"(1099511627776)", "model.vocab.b", kInvalid},
    {"fractional id", "/model/vocab/b", R"(1.5)", "model.vocab.b", kInvalid},
    {"merge of three", "/model/merges/0", R"("a b c")", "model.merges[0]", kInvalid},
    {"merge of one", "/model/merges/1", R"(["a"])", "model.merges[1]", kInvalid},
    {"merge of numbers", "/model/merges/1", R"([1, 2])", "model.merges[1]", kInvalid},
    {"merge without its result", "/model/vocab/abc", R"()", "model: merge 1", kInvalid},
    {"merge without a part", "/model/merges/0", R"("x b")", "model: merge 0", kInvalid},
    {"merges as an object", "/model/merges", R"({})", "model.merges", kInvalid},
    {"flag as text", "/model/byte_fallback", R"("yes")", "model.byte_fallback", kInvalid},
    {"unk as a number", "/model/unk_token", R"(1)", "model.unk_token", kInvalid},
    {"unknown normalizer", "/normalizer", R"({"type": "Precompiled"})", "normalizer", kUnsupported},
    {"unknown normalizer inside", "/normalizer",
     R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "X"}]})", "normalizer.normalizers[1]",
     kUnsupported},
    {"normalizer without type", "/normalizer", R"({})", "normalizer", kInvalid},
    {"normalizer as text", "/normalizer", R"("NFC")", "normalizer", kInvalid},
    {"unknown pre-tokenizer", "/pre_tokenizer", R"({"type": "UnicodeScripts"})", "pre_tokenizer", kUnsupported},
    {"bad regex", "/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})",
     "pre_tokenizer.pattern.Regex", kUnsupported},
    {"no pattern", "/pre_tokenizer", R"({"type": "Split", "pattern": {}, "behavior": "Isolated"})",
     "pre_tokenizer.pattern", kInvalid},
    {"bad behavior", "/pre_tokenizer", R"({"type": "Split", "pattern": "a", "behavior": "Merged"})",
     "pre_tokenizer.behavior", kInvalid},
    {"metaspace of nothing", "/pre_tokenizer", R"({"type": "Metaspace", "replacement": ""})",
     "pre_tokenizer.replacement", kInvalid},
    {"metaspace of two", "/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})", "pre_tokenizer.replacement",
     kInvalid},
    {"bad scheme", "/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "sometimes"})",
     "pre_tokenizer.prepend_scheme", kInvalid},
    {"unknown post-processor", "/post_processor", R"({"type": "X"})", "post_processor", kUnsupported},
    {"template of an undefined token", "/post_processor",
     R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]})",
     "post_processor.single[0].SpecialToken.id", kInvalid},
    {"template of B", "/post_processor", R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]})",
     "post_processor.single[0].Sequence", kInvalid},
    {"cls without id", "/post_processor", R"({"type": "BertProcessing", "cls": ["c"], "sep": ["b", 1]})",
     "post_processor.cls", kInvalid},
    {"added token without content", "/added_tokens", R"([{"id": 7}])", "added_tokens[0]", kInvalid},
    {"added token without id", "/added_tokens", R"([{"content": "x"}])", "added_tokens[0]", kInvalid},
};

void ExpectRefused(const Json& json, const std::string& place, ErrorCode code) {
  const Error error = ErrorOf([&] { Make(json); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_EQ(std::string(error.what()).find("t.json: "), 0U) << error.what();
  EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
}

TEST(Hostile, EveryMistakeIsRefusedWithItsPlace) {
  ASSERT_NO_THROW(Make(SmallTokenizer()));
  for (const Broken& broken : kCases) {
    SCOPED_TRACE(broken.name);
    Json json = SmallTokenizer();
    const Json::json_pointer pointer(broken.pointer);
    if (*broken.value) {
      json[pointer] = Json::parse(broken.value);
    } else {
      json[pointer.parent_pointer()].erase(pointer.back());
    }
    ExpectRefused(json, broken.place, broken.code);
  }
}

TEST(Hostile, EndlessStringsAreRefused) {
  Json json = SmallTokenizer();
  json["normalizer"]["type"] = "Prepend";
  json["normalizer"]["prepend"] = std::string(100000, 'x');
  ExpectRefused(json, "normalizer.prepend", kUnsupported);
  json = SmallTokenizer();
  json["added_tokens"][0]["id"] = 7;
  json["added_tokens"][0]["content"] = std::string(5000, 'x');
  ExpectRefused(json, "added_tokens[0]", kUnsupported);
}

// Legal and of no effect.
TEST(Hostile, EmptySequences) {
  const Ids plain = Make(SmallTokenizer())->Encode("ab c", true);
  const Json nothing = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  Json json = SmallTokenizer();
  json["normalizer"] = nothing;
  EXPECT_EQ(Make(json)->Encode("ab c", true), plain);
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {nothing, {{"type", "NFC"}}, nothing}}};
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {{{"type", "Sequence"}, {"pretokenizers", Json::array()}}}}};
  json["post_processor"] = {{"type", "Sequence"},
                            {"processors", {{{"type", "Sequence"}, {"processors", Json::array()}}}}};
  EXPECT_EQ(Make(json)->Encode("ab c", true), plain);
}

// What the steps make of a text is bounded, whichever kind of step multiplies it.
TEST(Hostile, GrowthIsBounded) {
  const auto refused = [](const Json& json, const std::string& text) {
    return ErrorOf([&] { Make(json)->Encode(text, true); }).code();
  };
  Json json = SmallTokenizer();
  const Json prefix = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json(64, prefix)}};
  EXPECT_EQ(refused(json, "a\nb"), kUnsupported);
  json = SmallTokenizer();
  const Json twice = {{"type", "TemplateProcessing"},
                      {"single", {{{"Sequence", {{"id", "A"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
  json["post_processor"] = {{"type", "Sequence"}, {"processors", Json(64, twice)}};
  EXPECT_EQ(refused(json, "ab"), kUnsupported);
  // Every part between two added tokens may grow, and all of them together may not.
  json = SmallTokenizer();
  json["added_tokens"] = {{{"id", 7}, {"content", "?"}, {"special", true}}};
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(4096, 'a')}};
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "a?";
  EXPECT_EQ(refused(json, text), kUnsupported);
}

TEST(Hostile, HalvesOfSurrogatePairs) {
  Json json = SmallTokenizer();
  std::string text = json.dump();
  const auto with = [&](const std::string& members) {
    return Tokenizer::FromJson(text.substr(0, text.size() - 1) + "," + members + "}", "t.json");
  };
  // Nothing reads this one, and no text can hold that token.
  EXPECT_EQ(with(R"("note": "\ud800")")->Encode("ab", true), (Ids{3}));
  EXPECT_EQ(with(R"("added_tokens": [{"id": 7, "content": "\udc00"}])")->Encode("ab", true), (Ids{3}));
  for (const char* step :
       {R"("normalizer": {"type": "Prepend", "prepend": "\ud800"})",
        R"("normalizer": {"type": "Replace", "pattern": "a", "content": "\ud800"})",
        R"("pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\ud800"}})",
        R"("pre_tokenizer": {"type": "Metaspace", "replacement": "\ud800"})"}) {
    EXPECT_EQ(ErrorOf([&] { with(step); }).code(), kInvalid) << step;
  }
}

TEST(Hostile, NumbersThatNothingReads) {
  const std::string text = SmallTokenizer().dump();
  for (const char* value : {"1000000000000000019884624838656", "NaN", "-Infinity", "1e999"}) {
    const auto tokenizer =
        Tokenizer::FromJson(text.substr(0, text.size() - 1) + ", \"note\": " + value + "}", "t.json");
    EXPECT_EQ(tokenizer->Encode("ab", true), (Ids{3})) << value;
  }
}

TEST(Hostile, EveryTruncationIsRefused) {
  const std::string whole = SmallTokenizer().dump();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(ErrorOf([&] { Tokenizer::FromJson(whole.substr(0, size), "t"); }).code(), ErrorCode::kInvalidModel);
  }
}

TEST(Hostile, NotJson) {
  for (const std::string& text : {std::string("[]"), std::string("null"), std::string("\xff\xfe"), std::string("{}{}"),
                                  std::string(100000, '['), std::string("\0\0\0", 3)}) {
    EXPECT_EQ(ErrorOf([&] { Tokenizer::FromJson(text, "t"); }).code(), ErrorCode::kInvalidModel);
  }
}

TEST(Hostile, DeepNestingDoesNotOverflowTheStack) {
  std::string text = R"({"model": {"type": "BPE", "vocab": {}, "merges": []}, "normalizer": )", tail = "}";
  for (int i = 0; i < 3000; ++i) {
    text += R"({"type": "Sequence", "normalizers": [)";
    tail += "]}";
  }
  std::reverse(tail.begin(), tail.end());
  EXPECT_EQ(ErrorOf([&] { Tokenizer::FromJson(text + tail, "t"); }).code(), ErrorCode::kInvalidModel);
}

TEST(Hostile, TextThatIsNotUtf8) {
  const auto tokenizer = Make(SmallTokenizer());
  const Error error = ErrorOf([&] { tokenizer->Encode("ab\xff", true); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset);
  EXPECT_NE(std::string(error.what()).find("byte 2"), std::string::npos);
  EXPECT_EQ(tokenizer->Encode("ab", true), (Ids{3}));  // still in order
}

}  // namespace
}  // namespace modelslim
