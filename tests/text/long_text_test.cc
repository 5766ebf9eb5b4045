// A megabyte of the worst there is. Quadratic work would take hours; the limit only has to be shorter than that.
#include <chrono>

#include "text/test_support.h"

namespace modelslim {
namespace {

std::string Repeat(const std::string& text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

TEST(LongText, FinishesInTime) {
  constexpr size_t kBytes = 1'000'000;
  const std::string gap = Repeat(" ", 100'000);
  const std::vector<std::string> texts = {Repeat("a", kBytes),
                                          Repeat(" ", kBytes),
                                          Repeat("\n", kBytes),
                                          Repeat("\u4e2d\u6587", kBytes),
                                          Repeat("\u0323\u0301", kBytes),
                                          Repeat("abcdefghij", kBytes),
                                          Repeat(gap + "x", kBytes),
                                          Repeat("<|", kBytes),
                                          Repeat("'", kBytes)};
  const fs::path golden = MODELSLIM_TOKENIZERS;
  for (const char* name : {"qwen3", "small/llama2-legacy", "small/metaspace-first-whole", "small/o200k"}) {
    const auto tokenizer = Tokenizer::Load(golden / name);
    for (const std::string& text : texts) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_GT(tokenizer->Encode(text, true).size(), 1000U);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60))
          << name << ": " << text.substr(0, 20);
    }
  }
}

TEST(LongText, LongAndShortAgree) {
  // Pieces joined by what nothing merges with: the long text is the sum of its parts.
  const auto tokenizer = Tokenizer::Load(fs::path(MODELSLIM_TOKENIZERS) / "qwen3");
  const Ids part = tokenizer->Encode("word\n", true);
  Ids expected;
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text += "word\n";
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(tokenizer->Encode(text, true), expected);
}

}  // namespace
}  // namespace modelslim
