#include "text/bpe.h"

#include <random>

#include "text/byte_level.h"
#include "text/test_support.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

// Merges by the definition: the best pair of the whole piece, leftmost first, again and again.
Ids SlowMerge(const BpeModel::Vocabulary& vocabulary, const BpeModel::Merges& merges, const std::string& piece) {
  std::vector<std::string> symbols;
  for (size_t i = 0; i < piece.size();) {
    const uint32_t size = DecodeUtf8(piece.data() + i).size;
    symbols.push_back(piece.substr(i, size));
    i += size;
  }
  while (true) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].first == symbols[i] && merges[rank].second == symbols[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == merges.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const auto& symbol : symbols) ids.push_back(vocabulary.at(symbol));
  return ids;
}

struct RandomModel {
  BpeModel::Vocabulary vocabulary;
  BpeModel::Merges merges;
  std::vector<std::string> tokens;

  RandomModel(std::mt19937& random, const std::vector<std::string>& alphabet, size_t count) : tokens(alphabet) {
    for (const auto& token : tokens) vocabulary.emplace(token, static_cast<int32_t>(vocabulary.size()));
    while (merges.size() < count) {
      const std::string left = tokens[random() % tokens.size()], right = tokens[random() % tokens.size()];
      if (std::find(merges.begin(), merges.end(), std::pair(left, right)) != merges.end()) continue;
      if (left.size() + right.size() > 20) continue;
      merges.emplace_back(left, right);
      if (vocabulary.emplace(left + right, static_cast<int32_t>(vocabulary.size())).second)
        tokens.push_back(left + right);
    }
  }
};

// Short pieces are scanned, long ones use a queue, and pieces are cut where nothing joins: all must agree.
TEST(Bpe, EqualsTheDefinitionOnRandomModels) {
  std::mt19937 random(3);
  const std::vector<std::string> alphabet = {"a", "b", "c", "\u2581", "\u00e9", "d", "e", "f"};
  for (int round = 0; round < 60; ++round) {
    const RandomModel model(random, alphabet, 4 + random() % 40);
    const BpeModel bpe(model.vocabulary, model.merges, {}, "t");
    BpeScratch scratch;
    for (const size_t length : {1, 2, 5, 20, 30, 47, 48, 49, 150}) {
      std::string piece;
      for (size_t i = 0; i < length; ++i) piece += alphabet[random() % (2 + random() % 7)];
      for (int again = 0; again < 2; ++again) {  // the second time from the cache
        Ids ids;
        bpe.Encode(piece, scratch, ids);
        ASSERT_EQ(ids, SlowMerge(model.vocabulary, model.merges, piece)) << piece;
      }
    }
  }
}

TEST(Bpe, BytesGiveWhatTheirStandInsGive) {
  std::mt19937 random(5);
  std::vector<std::string> alphabet;
  for (int byte = 0; byte < 256; ++byte) {
    std::string token;
    AppendByteStandIns(token, std::string(1, static_cast<char>(byte)));
    alphabet.push_back(token);
  }
  const RandomModel model(random, alphabet, 400);
  for (const bool ignore_merges : {false, true}) {
    BpeOptions options;
    options.ignore_merges = ignore_merges;
    const BpeModel bpe(model.vocabulary, model.merges, options, "t");
    ASSERT_TRUE(bpe.TakesBytes());
    BpeScratch scratch;
    for (int round = 0; round < 500; ++round) {
      std::string bytes, text;
      for (size_t i = 0; i < 1 + random() % 80; ++i) {
        BytesOfStandIns(model.tokens[random() % model.tokens.size()], text);
        bytes += text;
      }
      text.clear();
      AppendByteStandIns(text, bytes);
      Ids from_bytes, from_text;
      bpe.EncodeBytes(bytes, scratch, from_bytes);
      bpe.Encode(text, scratch, from_text);
      ASSERT_EQ(from_bytes, from_text);
    }
  }
}

TEST(Bpe, EqualRanksMergeFromTheLeft) {
  Json json = SmallTokenizer();
  json["model"]["vocab"]["aa"] = 7;
  json["model"]["merges"] = {"a a"};
  EXPECT_EQ(Make(json)->Encode("aaa", true), (Ids{7, 0}));
}

TEST(Bpe, UnknownCharacters) {
  Json json = SmallTokenizer();
  const std::string text = "x\u00e9aby";
  EXPECT_EQ(Make(json)->Encode(text, true), (Ids{3}));  // no unk_token: dropped
  json["model"]["unk_token"] = "?";
  EXPECT_EQ(Make(json)->Encode(text, true), (Ids{6, 6, 3, 6}));
  json["model"]["fuse_unk"] = true;
  EXPECT_EQ(Make(json)->Encode(text, true), (Ids{6, 3, 6}));
  json["model"]["byte_fallback"] = true;
  json["model"]["vocab"]["<0xC3>"] = 7;
  json["model"]["vocab"]["<0xA9>"] = 8;
  EXPECT_EQ(Make(json)->Encode("\u00e9ab", true), (Ids{7, 8, 3}));
  // All bytes of a character must be there; an unk waits for the next known character.
  EXPECT_EQ(Make(json)->Encode(text, true), (Ids{7, 8, 6, 3, 6}));
  json["model"]["unk_token"] = "none";
  const auto tokenizer = Make(json);
  EXPECT_EQ(tokenizer->Encode("ab", true), (Ids{3}));
  EXPECT_EQ(ErrorOf([&] { tokenizer->Encode("x", true); }).code(), ErrorCode::kInvalidModel);
}

TEST(Bpe, IgnoreMergesTakesWholePiecesFromTheVocabulary) {
  Json json = SmallTokenizer();
  json["model"]["vocab"]["cb"] = 7;
  json["model"]["vocab"]["cbacbacbacbacbacbacbacbacbacba"] = 8;
  EXPECT_EQ(Make(json)->Encode("cb", true), (Ids{2, 1}));
  json["model"]["ignore_merges"] = true;
  const auto tokenizer = Make(json);
  EXPECT_EQ(tokenizer->Encode("cb", true), (Ids{7}));
  EXPECT_EQ(tokenizer->Encode("cbacbacbacbacbacbacbacbacbacba", true), (Ids{8}));
  EXPECT_EQ(tokenizer->Encode("cbab", true), (Ids{2, 1, 3}));
  // Cut into parts, of which "cb" is one: a part is no piece.
  std::string longer = "cb";
  for (int i = 0; i < 20; ++i) longer += "ccb";
  const Ids ids = tokenizer->Encode(longer, true);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 7), 0);
  EXPECT_EQ(tokenizer->Encode("cb", true), (Ids{7}));
}

TEST(Bpe, PrefixAndSuffix) {
  Json json = SmallTokenizer();
  json["model"] = Json::parse(R"({"type": "BPE", "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
    "vocab": {"a": 0, "##b": 1, "##b</w>": 2, "ab": 3, "ab</w>": 4, "a</w>": 5}, "merges": ["a ##b", "a ##b</w>"]})");
  const auto tokenizer = Make(json);
  EXPECT_EQ(tokenizer->Encode("ab", true), (Ids{4}));
  EXPECT_EQ(tokenizer->Encode("a", true), (Ids{5}));
  EXPECT_EQ(tokenizer->Encode("abb", true), (Ids{3, 2}));
}

}  // namespace
}  // namespace modelslim
