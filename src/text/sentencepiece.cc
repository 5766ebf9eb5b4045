#include "text/sentencepiece.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/stop.h"
#include "io/quote.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

using Type = SentencePieceFile::Type;

constexpr char32_t kBlank = 0x2581;  // stands for a space in the pieces

[[noreturn]] void Refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, where + ": " + what,
              "put a tokenizer.json of this model there, or take a recipe whose steps need no data");
}

// Whatever would make other pieces than a plain byte-pair model does.
void CheckKind(const SentencePieceFile& file, const std::string& name) {
  if (file.model_type != SentencePieceFile::kBpe) Refuse(name, "only byte-pair models are read, and this is another");
  if (file.has_rules) {
    Refuse(name, "only models without rules of normalization are read; this has " + Quote(file.normalization));
  }
  if (file.removes_extra_whitespace) Refuse(name, "it removes white space, which is not supported");
  if (file.whitespace_as_suffix) Refuse(name, "it keeps white space behind the words, which is not supported");
  if (!file.escapes_whitespace) Refuse(name, "it does not escape white space, which is not supported");
  for (const SentencePieceFile::Piece& piece : file.pieces) {
    if (piece.type == Type::kUserDefined || piece.type == Type::kUnused) {
      Refuse(name, "it has the user's own or unused pieces, which is not supported: " + Quote(piece.text));
    }
  }
}

// SentencePiece joins neighbours whenever that makes a piece, the best score first, of equal ones the leftmost. As
// merges: every way to make a piece, all of the rank of its score.
struct MergeList {
  BpeModel::Merges merges;
  std::vector<uint32_t> ranks;
};

MergeList MergesOf(const SentencePieceFile& file) {
  std::vector<const SentencePieceFile::Piece*> order;
  std::unordered_set<std::string_view> mergeable;
  for (const SentencePieceFile::Piece& piece : file.pieces) {
    if (piece.type != Type::kNormal) continue;
    order.push_back(&piece);
    mergeable.insert(piece.text);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->score > b->score; });
  MergeList list;
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && order[i]->score != order[i - 1]->score) ++rank;
    const std::string_view text = order[i]->text;
    if (text.empty()) continue;
    ThrowIfStopped();
    for (size_t cut = DecodeUtf8(text.data()).size; cut < text.size(); cut += DecodeUtf8(text.data() + cut).size) {
      if (!mergeable.contains(text.substr(0, cut)) || !mergeable.contains(text.substr(cut))) continue;
      list.merges.emplace_back(text.substr(0, cut), text.substr(cut));
      list.ranks.push_back(rank);
    }
  }
  return list;
}

std::unique_ptr<const BpeModel> MakeModel(const SentencePieceFile& file, const std::string& name) {
  BpeModel::Vocabulary vocabulary;
  BpeOptions options;
  options.fuse_unk = true;
  options.byte_fallback = file.byte_fallback;
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    const SentencePieceFile::Piece& piece = file.pieces[id];
    if (piece.type == Type::kUnknown && !options.unk_token) options.unk_token = piece.text;
    vocabulary.emplace(piece.text, static_cast<int32_t>(id));
  }
  MergeList list = MergesOf(file);
  options.ranks = std::move(list.ranks);
  return std::make_unique<BpeModel>(std::move(vocabulary), list.merges, std::move(options), name);
}

// <unk>, <s> and </s>, which the classes look for in the text, and what the configuration adds.
std::vector<AddedToken> AddedTokensOf(const SentencePieceFile& file, const JsonRef& config) {
  std::vector<AddedToken> tokens = ReadAddedTokensDecoder(config["added_tokens_decoder"]);
  if (!tokens.empty()) return tokens;
  const std::array<const char*, 3> keys = {"unk_token", "bos_token", "eos_token"}, usual = {"<unk>", "<s>", "</s>"};
  for (size_t i = 0; i < keys.size(); ++i) {
    AddedToken token;
    token.content = config[keys[i]] ? ContentOfToken(config[keys[i]]) : usual[i];
    token.special = true;
    const auto same = [&](const SentencePieceFile::Piece& piece) { return piece.text == token.content; };
    if (std::any_of(file.pieces.begin(), file.pieces.end(), same)) tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

std::unique_ptr<TokenizerParts> ReadSentencePiece(std::string_view bytes, const std::string& name,
                                                  const JsonRef& config) {
  const JsonRef class_node = config["tokenizer_class"];
  const std::string tokenizer_class = class_node.StringOr("LlamaTokenizer");
  const bool fast = tokenizer_class == "LlamaTokenizerFast";
  if (!fast && tokenizer_class != "LlamaTokenizer") {
    Refuse(class_node.where(), "tokenizer.model is read for LlamaTokenizer, not for " + Quote(tokenizer_class));
  }
  const SentencePieceFile file = ParseSentencePiece(bytes, name);
  CheckKind(file, name);
  auto parts = std::make_unique<TokenizerParts>();
  parts->model = MakeModel(file, name);
  const bool prefix = config["add_prefix_space"].BoolOr(true);
  const PrependScheme scheme = !prefix ? PrependScheme::kNever : fast ? PrependScheme::kFirst : PrependScheme::kStart;
  parts->pre_tokenizer = MakeMetaspace(kBlank, scheme, /*split=*/false);
  parts->SetAddedTokens(AddedTokensOf(file, config));
  // The slow class puts the prefix in front of any text and takes it away again where a special token comes first.
  if (!fast) parts->dropped_at_start = parts->model->Find("\u2581");
  PutLlamaTokens(config, *parts);
  return parts;
}

}  // namespace modelslim
