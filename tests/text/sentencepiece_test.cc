#include "text/sentencepiece.h"

#include <bit>
#include <fstream>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "text/tokenizer.h"

namespace modelslim {
namespace {

const fs::path kGolden = MODELSLIM_SENTENCEPIECE;

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string Number(int field, uint64_t value) { return Varint(static_cast<uint64_t>(field) << 3) + Varint(value); }
std::string Bytes(int field, const std::string& value) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(value.size()) + value;
}
std::string Piece(const std::string& text, float score, int type = 1) {
  const auto bits = std::bit_cast<uint32_t>(score);
  std::string fixed(1, static_cast<char>(2 << 3 | 5));
  for (int i = 0; i < 4; ++i) fixed += static_cast<char>(bits >> (8 * i));
  return Bytes(1, Bytes(1, text) + fixed + Number(3, static_cast<uint64_t>(type)));
}

// Byte pairs, nothing normalized: what a case adds comes behind, and the last value of a field counts.
const std::string kTraining = Bytes(2, Number(3, 2)), kNormalization = Bytes(3, Number(4, 0));
const std::string kSpecial = Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3);

std::vector<int32_t> Encode(const std::string& file, const std::string& text, const std::string& config = "{}") {
  const TemporaryDirectory directory;
  directory.Write("tokenizer.model", file);
  directory.Write("tokenizer_config.json", config);
  return Tokenizer::Load(directory.path())->Encode(text, true);
}
using Ids = std::vector<int32_t>;

TEST(SentencePiece, IdsOfTheReference) {
  for (const char* name : {"fallback", "unknown", "no-prefix"}) {
    const auto tokenizer = Tokenizer::Load(kGolden / name);
    std::ifstream lines(kGolden / name / "ids.jsonl");
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const Json row = ParseJson(line, name);
      const std::string& text = *row.Find("text")->string();
      Ids expected;
      for (const Json& id : *row.Find("ids")->array()) expected.push_back(static_cast<int32_t>(*id.integer()));
      EXPECT_EQ(tokenizer->Encode(text, true), expected) << name << ": " << text;
    }
    EXPECT_GT(count, 250) << name;
  }
}

TEST(SentencePiece, TheLeftmostOfEqualScoresIsJoinedFirst) {
  // aa wherever it fits, then aaa of (aa, a): a way that ranks by the parts would choose otherwise at the end.
  const std::string file = kSpecial + Piece("a", -3) + Piece("aa", -1) + Piece("aaa", -2) + kTraining + kNormalization;
  const std::string config = R"({"add_prefix_space": false, "add_bos_token": false})";
  EXPECT_EQ(Encode(file, "aaaaa", config), (Ids{4, 5}));
  EXPECT_EQ(Encode(kSpecial + Piece("a", -3) + Piece("b", -3) + Piece("ab", -1) + Piece("ba", -1) + kTraining +
                       kNormalization,
                   "babab", config),
            (Ids{6, 6, 4}));
}

TEST(SentencePiece, SpecialTokensByTheConfiguration) {
  const std::string file = kSpecial + Piece("a", -1) + Piece("\u2581", -2) + kTraining + kNormalization;
  EXPECT_EQ(Encode(file, "a"), (Ids{1, 4, 3}));
  EXPECT_EQ(Encode(file, "a", R"({"tokenizer_class": "LlamaTokenizer", "add_eos_token": true})"), (Ids{1, 4, 3, 2}));
  EXPECT_EQ(Encode(file, " a", R"({"tokenizer_class": "LlamaTokenizerFast"})"), (Ids{1, 4, 3}));
  EXPECT_EQ(Encode(file, " a"), (Ids{1, 4, 4, 3}));
  EXPECT_EQ(Encode(file, "</s>a", R"({"bos_token": {"content": "</s>"}})"), (Ids{2, 2, 3}));
}

TEST(SentencePiece, OtherKindsAreToldOf) {
  const std::string plain = kSpecial + Piece("a", -1) + kTraining + kNormalization;
  const std::pair<std::string, std::string> table[] = {
      {kSpecial + Piece("a", -1) + kNormalization, "only byte-pair models"},
      {plain + Bytes(3, Bytes(1, "nmt_nfkc") + Bytes(2, "xx")), "'nmt_nfkc'"},
      {plain + Bytes(3, Number(4, 1)), "removes white space"},
      {plain + Bytes(3, Number(5, 0)), "does not escape"},
      {plain + Bytes(2, Number(24, 1)), "behind the words"},
      {plain + Piece("own", 0, 4), "the user's own"},
      {plain + Piece("old", 0, 5), "unused pieces"},
  };
  for (const auto& [file, message] : table) {
    const Error error = ErrorOf([&] { Encode(file, "a"); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << message;
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
  const Error other = ErrorOf([&] { Encode(plain, "a", R"({"tokenizer_class": "PanguTokenizer"})"); });
  EXPECT_EQ(other.code(), ErrorCode::kUnsupported);
  EXPECT_NE(std::string(other.what()).find("tokenizer_class"), std::string::npos) << other.what();
}

TEST(SentencePiece, DamagedFilesAreRefused) {
  const std::string whole = kSpecial + Piece("a", -1) + kTraining + kNormalization;
  for (size_t size = 0; size < whole.size(); ++size) {
    try {
      Encode(whole.substr(0, size), "a");  // cut between two fields it is a smaller model
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kUnexpected) << error.what();
    }
  }
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\x0a\x7f"), Number(1, 3), Piece("\xff", 0), Piece("a", 0, 9), std::string(11, '\xff'),
        std::string("version https://git-lfs.github.com/spec/v1\n")}) {
    const Error error = ErrorOf([&] { ParseSentencePiece(bad, "t.model"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    EXPECT_EQ(std::string(error.what()).find("t.model: "), 0U) << error.what();
  }
}

}  // namespace
}  // namespace modelslim
