#include "data/tokenize_file.h"

#include <sstream>

#include "data/test_support.h"

namespace modelslim {
namespace {

class TokenizeFileTest : public testing::Test {
 protected:
  std::string Run(const std::string& content, const TokenizeOptions& options = {}, const char* name = "in.jsonl") {
    const fs::path file = directory_.Write(name, content);
    std::ostringstream out;
    warnings_ = TokenizeFile(*tokenizer_, file, options, out);
    return out.str();
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Tokenizer> tokenizer_ = SmallTokenizer();
  std::vector<std::string> warnings_;
};

TEST_F(TokenizeFileTest, OneLineEach) {
  EXPECT_EQ(Run("{\"text\": \"abc\"}\n{\"inputs_pretokenized\": \"a\", \"id\": 3}\n{\"text\": \"\"}"),
            "{\"ids\":[4,3,2]}\n{\"ids\":[4,0]}\n{\"ids\":[4]}\n");
  EXPECT_EQ(Run("{\"text\": \"\"}\r\n", {.add_special = false, .text_keys = {}}), "{\"ids\":[]}\n");
  EXPECT_EQ(Run(""), "");
  EXPECT_EQ(Run("[\"a\", \"b\"]", {}, "in.json"), "{\"ids\":[4,0]}\n{\"ids\":[4,1]}\n");
}

// What quant calibrates with is what tokenize prints, but for lines that only have a text; those are told of.
TEST_F(TokenizeFileTest, AgreesWithCalibration) {
  const std::string both = "{\"inputs_pretokenized\": \"a\", \"text\": \"b\"}\n", neither = "{\"c\": 1}\n";
  const TokenizeOptions by_key{.add_special = true, .text_keys = {"text"}};
  EXPECT_EQ(Run(both), "{\"ids\":[4,0]}\n");
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(Run(both, by_key), "{\"ids\":[4,1]}\n");
  EXPECT_EQ(Run(neither), "{\"ids\":[4,2]}\n");  // of the line's characters this vocabulary knows one
  ASSERT_EQ(warnings_.size(), 1U);
  Run("{\"text\": \"a\"}\n");
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_NE(warnings_[0].find("quant calibrates with the JSON text"), std::string::npos) << warnings_[0];
  EXPECT_NE(warnings_[0].find("--text_key text"), std::string::npos) << warnings_[0];
  Run("{\"text\": \"a\"}\n", by_key);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(TokenizeFileTest, ErrorsNameTheLine) {
  for (const char* bad : {"", "[]", "{\"text\": 1}", "{\"text\": \"a\"", "\xff"}) {
    const Error error = ErrorOf([&] { Run("{\"text\": \"a\"}\n" + std::string(bad) + "\n{\"text\": \"a\"}\n"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset) << bad;
    EXPECT_NE(std::string(error.what()).find("in.jsonl:2"), std::string::npos) << error.what();
  }
  std::ostringstream out;
  EXPECT_EQ(ErrorOf([&] { TokenizeFile(*tokenizer_, directory_.path() / "none", {}, out); }).code(),
            ErrorCode::kSecurity);
}

}  // namespace
}  // namespace modelslim
