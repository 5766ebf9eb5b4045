#include "quant/moments/sparse_select.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"

namespace modelslim {
namespace {

constexpr int64_t kGrain = 1 << 18;
constexpr int kBits = 11, kBuckets = 1 << kBits;
using Counts = std::array<int64_t, kBuckets>;

// How many of the values whose bits above `shift + kBits` equal those of `prefix` fall into each bucket of the next
// bits.
Counts CountNext(const std::vector<uint32_t>& values, uint64_t prefix, int shift) {
  const int64_t count = static_cast<int64_t>(values.size());
  std::vector<Counts> parts((count + kGrain - 1) / kGrain);
  ParallelRanges(count, kGrain, [&](int64_t begin, int64_t end) {
    Counts& counts = parts[begin / kGrain];
    counts.fill(0);
    for (int64_t i = begin; i < end; ++i) {
      if (static_cast<uint64_t>(values[i]) >> (shift + kBits) == prefix >> (shift + kBits)) {
        ++counts[(values[i] >> shift) & (kBuckets - 1)];
      }
    }
  });
  Counts total{};
  for (const Counts& part : parts) {
    for (int b = 0; b < kBuckets; ++b) total[b] += part[b];
  }
  return total;
}

// The value at `rank` in ascending order, and how many values are smaller.
struct Found {
  uint32_t value = 0;
  int64_t smaller = 0;
};
Found SmallestAt(const std::vector<uint32_t>& values, int64_t rank) {
  uint64_t prefix = 0;
  Found found;
  for (const int shift : {22, 11, 0}) {
    const Counts counts = CountNext(values, prefix, shift);
    int bucket = 0;
    while (rank >= counts[bucket]) {
      rank -= counts[bucket];
      found.smaller += counts[bucket++];
    }
    prefix |= static_cast<uint64_t>(bucket) << shift;
  }
  found.value = static_cast<uint32_t>(prefix);
  return found;
}

}  // namespace

uint32_t LargestAt(const std::vector<uint32_t>& values, int64_t rank) {
  return SmallestAt(values, static_cast<int64_t>(values.size()) - 1 - rank).value;
}

void MaskSmallest(const std::vector<uint32_t>& values, int64_t count, std::vector<uint8_t>* mask) {
  const int64_t size = static_cast<int64_t>(values.size());
  mask->assign(size, 1);
  if (count <= 0) return;
  if (count >= size) return mask->assign(size, 0);
  const Found border = SmallestAt(values, count - 1);
  int64_t equal = count - border.smaller;  // how many of the border's value to take
  for (int64_t i = 0; i < size; ++i) {
    if (values[i] < border.value || (values[i] == border.value && equal-- > 0)) (*mask)[i] = 0;
  }
}

}  // namespace modelslim
