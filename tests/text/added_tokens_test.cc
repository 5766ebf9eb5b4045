#include "text/added_tokens.h"

#include "text/test_support.h"

namespace modelslim {
namespace {

std::unique_ptr<Tokenizer> With(std::vector<Json> added, Json normalizer = nullptr) {
  Json json = SmallTokenizer();
  json["added_tokens"] = added;
  json["normalizer"] = normalizer;
  return Make(json);
}

Json Token(const std::string& content, int id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

TEST(AddedTokens, LongestAtTheLeftmostPlace) {
  const auto tokenizer = With({Token("<a", 7), Token("<ab>", 8), Token("b>", 9)});
  EXPECT_EQ(tokenizer->Encode("<ab>", true), (Ids{8}));
  EXPECT_EQ(tokenizer->Encode("<ab<ab>", true), (Ids{7, 1, 8}));
  EXPECT_EQ(tokenizer->Encode("c<ac<", true), (Ids{2, 7, 2}));
  EXPECT_EQ(tokenizer->vocab_size(), 10);
}

TEST(AddedTokens, StripsWhiteSpaceAround) {
  Json left = Token("<L>", 7), right = Token("<R>", 8);
  left["lstrip"] = true;
  right["rstrip"] = true;
  const auto tokenizer = With({left, right});
  EXPECT_EQ(tokenizer->Encode("a  <L> a", true), (Ids{0, 7, 5, 0}));
  EXPECT_EQ(tokenizer->Encode("a <R>\n\u3000 a", true), (Ids{0, 5, 8, 0}));
  EXPECT_EQ(tokenizer->Encode("<R>  <L>", true), (Ids{8, 7}));  // the blanks are taken once
}

TEST(AddedTokens, SingleWord) {
  Json word = Token("ab", 3);
  word["single_word"] = true;
  word["normalized"] = true;
  const auto tokenizer = With({word, Token("abc", 7)});
  EXPECT_EQ(tokenizer->Encode("ab", true), (Ids{3}));
  EXPECT_EQ(tokenizer->Encode("c ab c", true), (Ids{2, 5, 3, 5, 2}));
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalizedText) {
  Json raw = Token("A", 7), normalized = Token("B", 8);
  normalized["normalized"] = true;
  const auto tokenizer = With({raw, normalized}, {{"type", "Lowercase"}});
  // "B" is normalized to "b", which is then found in "b" as well.
  EXPECT_EQ(tokenizer->Encode("AabB", true), (Ids{7, 0, 8, 8}));
}

TEST(AddedTokens, IdsAreTheVocabularysOrTheNextFreeOnes) {
  // The file's own numbers do not count.
  const auto tokenizer = With({Token("ab", 99), Token("<x>", 50), Token("<y>", 60)});
  EXPECT_EQ(tokenizer->Encode("ab<x><y>", true), (Ids{3, 7, 8}));
}

}  // namespace
}  // namespace modelslim
