// Remembers the ids of short pieces: running text is made of the same few thousand words.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "text/flat_map.h"

namespace modelslim {

// Two-way associative, the older entry of a set gives way. Each thread that tokenizes has one, so it begins small and
// doubles, forgetting what it holds, when it has been filled once, up to 2 MiB.
class PieceCache {
 public:
  static constexpr size_t kMaxPiece = 24;  // bytes
  static constexpr size_t kMaxIds = 8;

  struct Entry {
    uint64_t key[3];
    uint8_t size;
    uint8_t tag;
    uint8_t count;  // of ids; 0 marks an empty entry
    int32_t ids[kMaxIds];
  };

  // A piece of 1 to kMaxPiece bytes, made ready for look-up. `tag` keeps apart what one text may mean in two places.
  struct Key {
    uint64_t words[3] = {0, 0, 0};
    uint8_t size;
    uint8_t tag;
    uint64_t hash;
    Key(std::string_view piece, uint8_t key_tag) : size(static_cast<uint8_t>(piece.size())), tag(key_tag) {
      std::memcpy(words, piece.data(), piece.size());
      hash = words[0] * 0x9E3779B97F4A7C15ULL;
      hash = (hash ^ (hash >> 32) ^ words[1]) * 0xC2B2AE3D27D4EB4FULL;
      hash = (hash ^ (hash >> 32) ^ words[2] ^ (uint64_t{size} << 8) ^ tag) * 0x165667B19E3779F9ULL;
    }
  };

  const Entry* Find(const Key& key) const {
    if (entries_.empty()) return nullptr;
    const Entry* set = &entries_[Place(key)];
    if (Matches(set[0], key)) return &set[0];
    if (Matches(set[1], key)) return &set[1];
    return nullptr;
  }

  // Does nothing with more than kMaxIds ids, or none.
  void Put(const Key& key, const int32_t* ids, size_t count) {
    if (count == 0 || count > kMaxIds) return;
    if (++puts_ > entries_.size() && set_bits_ < kMostSetBits) Grow();
    Entry* set = &entries_[Place(key)];
    set[1] = set[0];
    std::memcpy(set[0].key, key.words, sizeof key.words);
    set[0].size = key.size;
    set[0].tag = key.tag;
    set[0].count = static_cast<uint8_t>(count);
    std::memcpy(set[0].ids, ids, count * sizeof(int32_t));
  }

 private:
  static constexpr int kFirstSetBits = 9, kMostSetBits = 14;

  size_t Place(const Key& key) const { return static_cast<size_t>(key.hash >> (64 - set_bits_)) * 2; }
  void Grow() {
    set_bits_ = entries_.empty() ? kFirstSetBits : set_bits_ + 1;
    entries_ = std::vector<Entry>(size_t{2} << set_bits_);
    puts_ = 0;
  }
  static bool Matches(const Entry& e, const Key& k) {
    return e.key[0] == k.words[0] && e.key[1] == k.words[1] && e.key[2] == k.words[2] && e.size == k.size &&
           e.tag == k.tag && e.count != 0;
  }
  std::vector<Entry> entries_;
  int set_bits_ = 0;
  size_t puts_ = 0;  // into the present entries
};
static_assert(sizeof(PieceCache::Entry) == 64);

}  // namespace modelslim
