#include "text/bpe.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/stop.h"
#include "io/quote.h"
#include "text/byte_level.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

uint64_t Border(char32_t left, char32_t right) { return (uint64_t{left} << 32) | right; }

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string where)
    : vocabulary_(std::move(vocabulary)),
      options_(std::move(options)),
      where_(std::move(where)),
      merges_(merges.size()),
      characters_(vocabulary_.size()),
      plain_(options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty()),
      byte_borders_(plain_ ? size_t{256} * 256 : size_t{0}),
      character_borders_(merges.size()) {
  MODELSLIM_CHECK(options_.ranks.empty() || options_.ranks.size() == merges.size());
  FillTables();
  AddMerges(merges);
  ascii_cuts_.resize(size_t{128} * 128);
  for (char32_t pair = 0; pair < 128 * 128; ++pair) ascii_cuts_[pair] = CanCut(pair / 128, pair % 128);
}

void BpeModel::FillTables() {
  for (const auto& [token, id] : vocabulary_) {
    if (token.empty()) continue;
    const Utf8Char c = DecodeUtf8(token.data());
    if (c.size == token.size()) characters_.Put(c.code, id);
  }
  takes_bytes_ = plain_;
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t* id = characters_.Find(ByteStandIns()[byte]);
    byte_ids_[byte] = id ? *id : -1;
    takes_bytes_ = takes_bytes_ && id;
  }
}

void BpeModel::AddMerges(const Merges& merges) {
  const size_t prefix = options_.continuing_subword_prefix.size();
  const auto id_of = [&](const std::string& token, size_t index, const char* role) {
    const auto it = vocabulary_.find(token);
    if (it == vocabulary_.end()) {
      throw Error(ErrorCode::kInvalidModel, where_ + ": merge " + std::to_string(index) + " (counted from 0): the " +
                                                role + " " + Quote(token) + " is not in the vocabulary");
    }
    return it->second;
  };
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    const int32_t left_id = id_of(left, i, "left part");
    const int32_t right_id = id_of(right, i, "right part");
    const int32_t merged = id_of(left + (right.size() >= prefix ? right.substr(prefix) : ""), i, "result");
    merges_.Put((static_cast<uint64_t>(static_cast<uint32_t>(left_id)) << 32) | static_cast<uint32_t>(right_id),
                {options_.ranks.empty() ? static_cast<uint32_t>(i) : options_.ranks[i], merged});
    if (plain_) AddBorder(left, right);
  }
}

void BpeModel::AddBorder(std::string_view left, std::string_view right) {
  if (left.empty() || right.empty()) return;
  const char32_t a = DecodeLastUtf8(left).code, b = DecodeUtf8(right.data()).code;
  character_borders_.Put(Border(a, b), 1);
  std::string both, bytes;
  AppendUtf8(both, a);
  AppendUtf8(both, b);
  if (BytesOfStandIns(both, bytes)) {
    byte_borders_[static_cast<uint8_t>(bytes[0]) * 256U + static_cast<uint8_t>(bytes[1])] = true;
  }
}

std::optional<int32_t> BpeModel::Find(const std::string& token) const {
  const auto it = vocabulary_.find(token);
  return it == vocabulary_.end() ? std::nullopt : std::optional<int32_t>(it->second);
}

void BpeModel::Encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  EncodePiece<false>(piece, scratch, ids);
}

void BpeModel::EncodeBytes(std::string_view bytes, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  MODELSLIM_CHECK(takes_bytes_);
  EncodePiece<true>(bytes, scratch, ids);
}

template <bool kBytes>
void BpeModel::EncodePiece(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  if (piece.empty()) return;
  if (piece.size() <= PieceCache::kMaxPiece) return EncodeCached<kBytes>(piece, options_.ignore_merges, scratch, ids);
  if (options_.ignore_merges) {
    if (const int32_t* id = FindWhole(piece, kBytes)) {
      ids.push_back(*id);
      return;
    }
  }
  if (!plain_) return EncodeFresh<kBytes>(piece, false, scratch, ids);
  EncodeCut<kBytes>(piece, scratch, ids);
}

template <bool kBytes>
void BpeModel::EncodeCut(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  for (size_t begin = 0; begin < piece.size();) {
    const size_t end = NextCut<kBytes>(piece, begin);
    const std::string_view part = piece.substr(begin, end - begin);
    if (part.size() <= PieceCache::kMaxPiece) {
      EncodeCached<kBytes>(part, false, scratch, ids);
    } else {
      EncodeFresh<kBytes>(part, false, scratch, ids);
    }
    begin = end;
  }
}

template <bool kBytes>
size_t BpeModel::NextCut(std::string_view piece, size_t from) const {
  if constexpr (kBytes) {
    for (size_t i = from + 1; i < piece.size(); ++i) {
      if (!byte_borders_[static_cast<uint8_t>(piece[i - 1]) * 256U + static_cast<uint8_t>(piece[i])]) return i;
    }
  } else {
    Utf8Char last = DecodeUtf8(piece.data() + from);
    for (size_t i = from + last.size; i < piece.size();) {
      const Utf8Char c = DecodeUtf8(piece.data() + i);
      const bool ascii = (last.code | c.code) < 0x80;
      if (ascii ? ascii_cuts_[last.code * 128 + c.code] != 0 : CanCut(last.code, c.code)) return i;
      last = c;
      i += c.size;
    }
  }
  return piece.size();
}

// Both must be known: an unknown one becomes another symbol, or is fused with the one before it.
bool BpeModel::CanCut(char32_t left, char32_t right) const {
  return !character_borders_.Find(Border(left, right)) && characters_.Find(left) && characters_.Find(right);
}

template <bool kBytes>
void BpeModel::EncodeCached(std::string_view piece, bool whole, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  // With ignore_merges a piece and an equal part of a longer piece are different things.
  const PieceCache::Key key(piece, static_cast<uint8_t>((whole ? 1 : 0) | (kBytes ? 2 : 0)));
  if (const PieceCache::Entry* hit = scratch.cache.Find(key)) {
    ids.insert(ids.end(), hit->ids, hit->ids + hit->count);
    return;
  }
  const size_t before = ids.size();
  EncodeFresh<kBytes>(piece, whole, scratch, ids);
  scratch.cache.Put(key, ids.data() + before, ids.size() - before);
}

template <bool kBytes>
void BpeModel::EncodeFresh(std::string_view piece, bool whole, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  if (whole) {
    if (const int32_t* id = FindWhole(piece, kBytes)) {
      ids.push_back(*id);
      return;
    }
  }
  std::vector<int32_t>& symbols = scratch.symbols;
  symbols.clear();
  if constexpr (kBytes) {
    for (const char c : piece) symbols.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  } else {
    SymbolsOfText(piece, symbols);
  }
  MergeSymbols(scratch);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

const int32_t* BpeModel::FindWhole(std::string_view piece, bool bytes) const {
  std::string token;
  if (bytes) {
    AppendByteStandIns(token, piece);
  } else {
    token = piece;
  }
  const auto it = vocabulary_.find(token);
  return it == vocabulary_.end() ? nullptr : &it->second;
}

int32_t BpeModel::UnknownId() const {
  const auto it = vocabulary_.find(*options_.unk_token);
  if (it == vocabulary_.end()) {
    throw Error(ErrorCode::kInvalidModel,
                where_ + ": unk_token: " + Quote(*options_.unk_token) + " is needed and is not in the vocabulary");
  }
  return it->second;
}

bool BpeModel::AddFallbackBytes(std::string_view character, std::vector<int32_t>& symbols) const {
  const size_t before = symbols.size();
  for (const char c : character) {
    char token[8];
    std::snprintf(token, sizeof token, "<0x%02X>", static_cast<unsigned>(static_cast<uint8_t>(c)));
    const auto it = vocabulary_.find(token);
    if (it == vocabulary_.end()) {
      symbols.resize(before);
      return false;
    }
    symbols.push_back(it->second);
  }
  return true;
}

// A pending unk is written only when the next known character or the end comes, also when byte tokens stand between:
// the reference does it in this order.
void BpeModel::SymbolsOfText(std::string_view piece, std::vector<int32_t>& symbols) const {
  constexpr int32_t kNone = -1;
  int32_t unknown = kNone;
  std::string decorated;
  for (size_t i = 0; i < piece.size();) {
    const Utf8Char c = DecodeUtf8(piece.data() + i);
    std::string_view character = piece.substr(i, c.size);
    const int32_t* id = nullptr;
    if (plain_) {
      id = characters_.Find(c.code);
    } else {
      decorated = (i > 0 ? options_.continuing_subword_prefix : "") + std::string(character) +
                  (i + c.size == piece.size() ? options_.end_of_word_suffix : "");
      character = decorated;
      const auto it = vocabulary_.find(decorated);
      if (it != vocabulary_.end()) id = &it->second;
    }
    i += c.size;
    if (id) {
      if (unknown != kNone) symbols.push_back(unknown);
      unknown = kNone;
      symbols.push_back(*id);
      continue;
    }
    if (options_.byte_fallback && AddFallbackBytes(character, symbols)) continue;
    if (!options_.unk_token) continue;
    if (unknown != kNone && !options_.fuse_unk) symbols.push_back(unknown);
    unknown = UnknownId();
  }
  if (unknown != kNone) symbols.push_back(unknown);
}

}  // namespace modelslim
