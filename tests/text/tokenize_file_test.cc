#include "text/tokenize_file.h"

#include <sstream>

#include "text/test_support.h"

namespace modelslim {
namespace {

class TokenizeFile : public testing::Test {
 protected:
  std::string Run(const std::string& content) {
    const fs::path file = directory_.Write("in.jsonl", content);
    std::ostringstream out;
    TokenizeJsonl(*tokenizer_, file, true, out);
    return out.str();
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Tokenizer> tokenizer_ = Make(SmallTokenizer());
};

TEST_F(TokenizeFile, OneLineEach) {
  EXPECT_EQ(Run("{\"text\": \"ab c\"}\n{\"inputs_pretokenized\": \"a\", \"id\": 3}\n{\"text\": \"\"}"),
            "{\"ids\":[3,5,2]}\n{\"ids\":[0]}\n{\"ids\":[]}\n");
  EXPECT_EQ(Run("{\"inputs_pretokenized\": \"a\", \"text\": \"b\"}\r\n"), "{\"ids\":[1]}\n");
  EXPECT_EQ(Run(""), "");
}

TEST_F(TokenizeFile, ErrorsNameTheLine) {
  for (const char* bad : {"", "[]", "{\"text\": 1}", "{\"x\": \"a\"}", "{\"text\": \"a\"", "\xff"}) {
    const Error error = ErrorOf([&] { Run("{\"text\": \"a\"}\n" + std::string(bad) + "\n{\"text\": \"a\"}\n"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset) << bad;
    EXPECT_NE(std::string(error.what()).find("in.jsonl:2"), std::string::npos) << error.what();
  }
  std::ostringstream out;
  EXPECT_EQ(ErrorOf([&] { TokenizeJsonl(*tokenizer_, directory_.path() / "none", true, out); }).code(),
            ErrorCode::kSecurity);
}

}  // namespace
}  // namespace modelslim
