// Byte-pair encoding: a piece of text to token ids, by merging neighbours in the order of a list.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/flat_map.h"
#include "text/piece_cache.h"

namespace modelslim {

struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;  // in front of every character of a piece but the first
  std::string end_of_word_suffix;         // behind the last
  bool fuse_unk = false;                  // neighbouring unknown characters become one unk
  bool byte_fallback = false;             // unknown characters become their bytes' tokens, "<0x0A>"
  bool ignore_merges = false;             // a piece that is in the vocabulary is not built by merges
  std::vector<uint32_t> ranks;            // of the merges; empty: the place in the list. Of equals the leftmost is done
};

// Working memory of one encoding at a time; its cache belongs to one model.
struct BpeScratch {
  PieceCache cache;
  std::vector<int32_t> symbols;
  std::vector<uint32_t> ranks, previous, next;
  std::vector<uint64_t> queue;
  std::vector<uint32_t> sizes;
};

class BpeModel {
 public:
  using Vocabulary = std::unordered_map<std::string, int32_t>;
  using Merges = std::vector<std::pair<std::string, std::string>>;

  // `where` (the file, or the place in it) begins the messages of Error(kInvalidModel): a merge whose parts or result
  // are not in the vocabulary.
  BpeModel(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string where);

  // Appends the ids of a piece of well-formed UTF-8. Thread-safe with one scratch per thread. O(n log n) in the piece.
  // Throws Error(kInvalidModel) when an unknown character needs an unk_token that the vocabulary lacks.
  void Encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const;

  // True when every byte's stand-in (byte_level.h) is a token, so that EncodeBytes can be used.
  bool TakesBytes() const { return takes_bytes_; }
  // The same as Encode() of the bytes' stand-ins, without writing them.
  void EncodeBytes(std::string_view bytes, BpeScratch& scratch, std::vector<int32_t>& ids) const;

  std::optional<int32_t> Find(const std::string& token) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };

  void AddMerges(const Merges& merges);
  void AddBorder(std::string_view left, std::string_view right);
  void FillTables();
  template <bool kBytes>
  void EncodePiece(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const;
  template <bool kBytes>
  void EncodeCut(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const;
  // `whole`: a piece that is in the vocabulary as it stands is not built by merges.
  template <bool kBytes>
  void EncodeCached(std::string_view piece, bool whole, BpeScratch& scratch, std::vector<int32_t>& ids) const;
  template <bool kBytes>
  void EncodeFresh(std::string_view piece, bool whole, BpeScratch& scratch, std::vector<int32_t>& ids) const;
  template <bool kBytes>
  size_t NextCut(std::string_view piece, size_t from) const;
  bool CanCut(char32_t left, char32_t right) const;
  const int32_t* FindWhole(std::string_view piece, bool bytes) const;
  void SymbolsOfText(std::string_view piece, std::vector<int32_t>& symbols) const;
  bool AddFallbackBytes(std::string_view character, std::vector<int32_t>& symbols) const;
  int32_t UnknownId() const;
  const Merge* FindMerge(int32_t left, int32_t right) const {
    return merges_.Find((static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right));
  }
  // Applies the merges to scratch.symbols, the first in their list first.
  void MergeSymbols(BpeScratch& scratch) const;
  void MergeFew(BpeScratch& scratch) const;
  void MergeMany(BpeScratch& scratch) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::string where_;
  FlatMap<Merge> merges_;
  FlatMap<int32_t> characters_;  // code point to id
  bool plain_ = false;           // no prefix and no suffix: a character is looked up by itself
  bool takes_bytes_ = false;
  int32_t byte_ids_[256];
  // Borders that some merge crosses. Where two neighbours are not here, nothing ever joins them, and a long piece may
  // be cut between them: every part is then encoded (and remembered) by itself.
  std::vector<bool> byte_borders_;   // [left * 256 + right]
  FlatMap<char> character_borders_;  // left << 32 | right
  std::vector<uint8_t> ascii_cuts_;  // [left * 128 + right]: CanCut(), for the common case
};

}  // namespace modelslim
