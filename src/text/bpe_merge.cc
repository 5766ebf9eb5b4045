#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "text/bpe.h"

namespace modelslim {
namespace {

// Up to here a piece's pairs are scanned for the best one again and again; beyond, a queue keeps them in order.
constexpr size_t kFewSymbols = 48;
constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

}  // namespace

void BpeModel::MergeSymbols(BpeScratch& scratch) const {
  if (scratch.symbols.size() <= kFewSymbols) {
    MergeFew(scratch);
  } else {
    MergeMany(scratch);
  }
}

void BpeModel::MergeFew(BpeScratch& scratch) const {
  std::vector<int32_t>& symbols = scratch.symbols;
  size_t count = symbols.size();
  if (count < 2) return;
  std::vector<uint32_t>& ranks = scratch.ranks;  // of the pair that begins at each symbol
  ranks.resize(count);
  const auto rank_at = [&](size_t i) {
    if (i + 1 >= count) return kNoRank;
    const Merge* merge = FindMerge(symbols[i], symbols[i + 1]);
    return merge ? merge->rank : kNoRank;
  };
  for (size_t i = 0; i < count; ++i) ranks[i] = rank_at(i);
  while (true) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    symbols[best] = FindMerge(symbols[best], symbols[best + 1])->id;
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(ranks.begin() + best + 2, ranks.begin() + count, ranks.begin() + best + 1);
    --count;
    ranks[best] = rank_at(best);
    if (best > 0) ranks[best - 1] = rank_at(best - 1);
    if (count < 2) break;
  }
  symbols.resize(count);
}

void BpeModel::MergeMany(BpeScratch& scratch) const {
  std::vector<int32_t>& symbols = scratch.symbols;
  const size_t count = symbols.size();
  if (count >= kNoRank) {
    throw Error(ErrorCode::kInvalidDataset, "a piece of text has more than 4 G characters", "split the sample");
  }
  constexpr int32_t kGone = -1;
  std::vector<uint32_t>&next = scratch.next, &previous = scratch.previous, &ranks = scratch.ranks;
  std::vector<uint64_t>& queue = scratch.queue;  // rank << 32 | position: a heap, smallest first
  next.resize(count);
  previous.resize(count);
  ranks.assign(count, kNoRank);  // of the pair that begins here now; tells stale entries of the queue
  queue.clear();
  const auto look_up = [&](size_t i) {
    const Merge* merge = next[i] < count ? FindMerge(symbols[i], symbols[next[i]]) : nullptr;
    ranks[i] = merge ? merge->rank : kNoRank;
    return merge != nullptr;
  };
  for (size_t i = 0; i < count; ++i) {
    next[i] = static_cast<uint32_t>(i + 1);
    previous[i] = static_cast<uint32_t>(i - 1);  // wraps for the first: >= count
  }
  for (size_t i = 0; i < count; ++i) {
    if (look_up(i)) queue.push_back((uint64_t{ranks[i]} << 32) | i);
  }
  const auto later = std::greater<uint64_t>();
  std::make_heap(queue.begin(), queue.end(), later);
  const auto push = [&](size_t i) {
    if (!look_up(i)) return;
    queue.push_back((uint64_t{ranks[i]} << 32) | i);
    std::push_heap(queue.begin(), queue.end(), later);
  };
  constexpr size_t kMergesBetweenLooks = 1 << 16;
  for (size_t taken = 1; !queue.empty(); ++taken) {
    if (taken % kMergesBetweenLooks == 0) ThrowIfStopped();
    std::pop_heap(queue.begin(), queue.end(), later);
    const auto i = static_cast<size_t>(queue.back() & 0xFFFFFFFFU);
    const auto rank = static_cast<uint32_t>(queue.back() >> 32);
    queue.pop_back();
    if (symbols[i] == kGone || ranks[i] != rank) continue;
    const size_t right = next[i];
    symbols[i] = FindMerge(symbols[i], symbols[right])->id;
    symbols[right] = kGone;
    next[i] = next[right];
    if (next[i] < count) previous[next[i]] = static_cast<uint32_t>(i);
    push(i);
    if (previous[i] < count) push(previous[i]);
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), kGone), symbols.end());
}

}  // namespace modelslim
