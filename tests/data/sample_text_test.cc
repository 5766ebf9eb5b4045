#include "data/sample_text.h"

#include "data/test_support.h"

namespace modelslim {
namespace {

struct SampleCase {
  const char* name;
  std::vector<std::string> keys;
  const char* line;
  const char* text;
};

TEST(SampleText, KindsOfDataSets) {
  const SampleCase table[] = {
      {"text", {"text"}, R"({"text": "a b", "id": 1})", "a b"},
      {"prompt", {"prompt"}, R"({"prompt": "why?"})", "why?"},
      {"messages of OpenAI",
       {"messages"},
       R"({"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]})",
       "be kind\nhi"},
      {"parts and calls",
       {"messages"},
       R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image", "url": "u"}]},
                        {"role": "assistant", "content": null, "tool_calls": [{}]}, {"role": "user", "content": "so"}]})",
       "see\nso"},
      {"ShareGPT",
       {"conversations"},
       R"({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]})",
       "hi\nho"},
      {"Alpaca",
       {"instruction", "input", "output"},
       R"({"instruction": "add", "input": "1 2", "output": "3"})",
       "add\n1 2\n3"},
      {"Alpaca without input",
       {"instruction", "input", "output"},
       R"({"instruction": "add", "input": "", "output": "3"})",
       "add\n3"},
      {"list of texts", {"turns"}, R"({"turns": ["one", "two"]})", "one\ntwo"},
      {"null beside a text", {"prompt", "text"}, R"({"prompt": null, "text": "t"})", "t"},
      {"nothing in it", {"messages"}, R"({"messages": []})", ""},
  };
  for (const SampleCase& row : table) {
    const Json line = ParseJson(row.line, row.name);
    const JsonRef object(line, "d.jsonl:1", ErrorCode::kInvalidDataset);
    EXPECT_EQ(TextOfKeys(object, row.keys), row.text) << row.name;
  }
}

TEST(SampleText, WhatIsNoText) {
  const auto refused = [](const char* text, const std::vector<std::string>& keys) {
    const Json line = ParseJson(text, "line");
    return ErrorOf([&] { TextOfKeys(JsonRef(line, "d.jsonl:7", ErrorCode::kInvalidDataset), keys); });
  };
  const Error absent = refused(R"({"prompt": "x", "id": 3})", {"text", "messages"});
  EXPECT_EQ(absent.code(), ErrorCode::kInvalidDataset);
  EXPECT_TRUE(Holds(absent, "d.jsonl:7: expected the key 'text' or 'messages', found 'prompt', 'id'")) << absent.what();
  EXPECT_EQ(absent.tip(), "--text_key prompt fits this line");
  EXPECT_TRUE(Holds(refused(R"({"text": 3})", {"text"}), "text: expected a text, or a list"));
  EXPECT_TRUE(Holds(refused(R"({"text": ["a", 3]})", {"text"}), "text[1]: expected a text"));
  EXPECT_TRUE(Holds(refused(R"({"text": "\ud800"})", {"text"}), "half a surrogate pair") ||
              Holds(refused(R"({"text": "\ud800"})", {"text"}), "text: expected text"));
}

TEST(SampleText, Suggestions) {
  const auto suggested = [](const char* text) { return SuggestedKeys(*ParseJson(text, "line").object()); };
  EXPECT_EQ(suggested(R"({"id": "7", "text": "x"})"), "text");
  EXPECT_EQ(suggested(R"({"instruction": "i", "input": "", "output": "o"})"), "instruction,input,output");
  EXPECT_EQ(suggested(R"({"instruction": "i", "output": "o"})"), "instruction,output");
  EXPECT_EQ(suggested(R"({"id": 1, "conversations": []})"), "conversations");
  EXPECT_EQ(suggested(R"({"id": 1, "story": "once"})"), "story");
  EXPECT_EQ(suggested(R"({"a,b": "x"})"), "");
  EXPECT_EQ(suggested("{}"), "");
}

}  // namespace
}  // namespace modelslim
