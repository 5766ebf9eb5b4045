// A hash table from 64-bit keys to small values, for the lookups that tokenizing consists of: open addressing, at most
// half full, filled once and then only read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelslim {

// The mixer of splitmix64: every bit of the key reaches every bit of the result.
inline uint64_t MixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// `Value` is trivially copyable. The key ~0 is reserved.
template <typename Value>
class FlatMap {
 public:
  explicit FlatMap(size_t expected = 0) {
    size_t capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    slots_.resize(capacity);
    mask_ = capacity - 1;
  }

  // The last value put for a key stays. No more than `expected` different keys.
  void Put(uint64_t key, Value value) {
    size_t i = MixBits(key) & mask_;
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
    slots_[i] = {key, value};
  }

  const Value* Find(uint64_t key) const {
    for (size_t i = MixBits(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Value value{};
  };
  std::vector<Slot> slots_;
  size_t mask_ = 0;
};

}  // namespace modelslim
