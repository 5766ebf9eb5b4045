// tokenizer.json files with one thing wrong: each is refused with the place of what is wrong.
#include <functional>

#include "text/test_support.h"

namespace modelslim {
namespace {

struct Broken {
  const char* name;
  std::function<void(Json&)> change;
  const char* place;  // must be in the message
  ErrorCode code = ErrorCode::kInvalidModel;
};

Json Split(const Json& pattern, const char* behavior = "Isolated") {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}};
}

const std::vector<Broken>& Cases() {
  static const std::vector<Broken> cases = {
      {"no model", [](Json& j) { j.erase("model"); }, "\"model\" is missing"},
      {"model of another kind", [](Json& j) { j["model"] = 3; }, "/model"},
      {"unigram", [](Json& j) { j["model"]["type"] = "Unigram"; }, "/model", ErrorCode::kUnsupported},
      {"no vocabulary", [](Json& j) { j["model"].erase("vocab"); }, "/model"},
      {"vocabulary as a list", [](Json& j) { j["model"]["vocab"] = Json::array(); }, "/model/vocab"},
      {"id as text", [](Json& j) { j["model"]["vocab"]["b"] = "1"; }, "/model/vocab/b"},
      {"negative id", [](Json& j) { j["model"]["vocab"]["b"] = -1; }, "/model/vocab/b"},
      {"huge id", [](Json& j) { j["model"]["vocab"]["b"] = 1LL << 40; }, "/model/vocab/b"},
      {"fractional id", [](Json& j) { j["model"]["vocab"]["b"] = 1.5; }, "/model/vocab/b"},
      {"merge of three", [](Json& j) { j["model"]["merges"][0] = "a b c"; }, "/model/merges/0"},
      {"merge of one", [](Json& j) { j["model"]["merges"][1] = Json::array({"a"}); }, "/model/merges/1"},
      {"merge of numbers",
       [](Json& j) {
         j["model"]["merges"][1] = {1, 2};
       },
       "/model/merges/1"},
      {"merge without its result", [](Json& j) { j["model"]["vocab"].erase("abc"); }, "/model/merges/1"},
      {"merge without a part", [](Json& j) { j["model"]["merges"][0] = "x b"; }, "/model/merges/0"},
      {"merges as an object", [](Json& j) { j["model"]["merges"] = Json::object(); }, "/model/merges"},
      {"flag as text", [](Json& j) { j["model"]["byte_fallback"] = "yes"; }, "/model/byte_fallback"},
      {"unk as a number", [](Json& j) { j["model"]["unk_token"] = 1; }, "/model/unk_token"},
      {"unknown normalizer",
       [](Json& j) {
         j["normalizer"] = {{"type", "Precompiled"}};
       },
       "/normalizer", ErrorCode::kUnsupported},
      {"unknown normalizer inside",
       [](Json& j) {
         j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "X"}}}}};
       },
       "/normalizer/normalizers/1", ErrorCode::kUnsupported},
      {"normalizer without type", [](Json& j) { j["normalizer"] = Json::object(); }, "/normalizer"},
      {"normalizer as text", [](Json& j) { j["normalizer"] = "NFC"; }, "/normalizer"},
      {"huge prefix",
       [](Json& j) {
         j["normalizer"] = {{"type", "Prepend"}, {"prepend", std::string(100000, 'x')}};
       },
       "/normalizer/prepend", ErrorCode::kUnsupported},
      {"unknown pre-tokenizer",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
       },
       "/pre_tokenizer", ErrorCode::kUnsupported},
      {"bad regex",
       [](Json& j) {
         j["pre_tokenizer"] = Split({{"Regex", "(a"}});
       },
       "/pre_tokenizer/pattern/Regex", ErrorCode::kUnsupported},
      {"no pattern", [](Json& j) { j["pre_tokenizer"] = Split(Json::object()); }, "/pre_tokenizer/pattern"},
      {"bad behavior", [](Json& j) { j["pre_tokenizer"] = Split("a", "Merged"); }, "/pre_tokenizer/behavior"},
      {"metaspace without a character",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", ""}};
       },
       "/pre_tokenizer/replacement"},
      {"metaspace of two",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "ab"}};
       },
       "/pre_tokenizer/replacement"},
      {"bad scheme",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "sometimes"}};
       },
       "/pre_tokenizer/prepend_scheme"},
      {"unknown post-processor",
       [](Json& j) {
         j["post_processor"] = {{"type", "X"}};
       },
       "/post_processor", ErrorCode::kUnsupported},
      {"template of an undefined token",
       [](Json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}}};
       },
       "/post_processor/single/0/SpecialToken/id"},
      {"template of B",
       [](Json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"Sequence", {{"id", "B"}}}}}}};
       },
       "/post_processor/single/0/Sequence"},
      {"cls without id",
       [](Json& j) {
         j["post_processor"] = {{"type", "BertProcessing"}, {"cls", {"c"}}, {"sep", {"b", 1}}};
       },
       "/post_processor/cls"},
      {"added token without content",
       [](Json& j) {
         j["added_tokens"] = {{{"id", 7}}};
       },
       "/added_tokens/0"},
      {"added token without id",
       [](Json& j) {
         j["added_tokens"] = {{{"content", "x"}}};
       },
       "/added_tokens/0"},
      {"endless added token",
       [](Json& j) {
         j["added_tokens"] = {{{"id", 7}, {"content", std::string(5000, 'x')}}};
       },
       "/added_tokens/0", ErrorCode::kUnsupported},
  };
  return cases;
}

TEST(Hostile, EveryMistakeIsRefusedWithItsPlace) {
  for (const Broken& broken : Cases()) {
    Json json = SmallTokenizer();
    ASSERT_NO_THROW(Make(json));
    broken.change(json);
    SCOPED_TRACE(broken.name);
    const Error error = ErrorOf([&] { Make(json); });
    EXPECT_EQ(error.code(), broken.code) << error.what();
    EXPECT_EQ(std::string(error.what()).find("t.json: "), 0U) << error.what();
    EXPECT_NE(std::string(error.what()).find(broken.place), std::string::npos) << error.what();
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
