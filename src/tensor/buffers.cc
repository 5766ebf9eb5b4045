#include "tensor/buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>

namespace modelslim {
namespace {

constexpr size_t kAlignment = 64, kHugePage = size_t{2} << 20;
// Also where pages are smaller: munmap takes whole pages only.
constexpr size_t kPage = size_t{64} << 10;
// However large the tensors once were: what idles is better left to the page cache.
constexpr size_t kKeepAtMost = size_t{256} << 20;
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kRecycleFrom = SIZE_MAX;  // nothing is used again, so that a use of freed memory shows
#else
constexpr size_t kRecycleFrom = 64 << 10;
#endif

std::atomic<uint64_t> in_use{0}, peak{0};

void CountTaken(size_t capacity) {
  const uint64_t now = in_use.fetch_add(capacity, std::memory_order_relaxed) + capacity;
  uint64_t most = peak.load(std::memory_order_relaxed);
  while (now > most && !peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
}

// Straight from the system and straight back: malloc would keep part of what was freed, and more with time. Whole huge
// pages where there are some: a fault for every 2 MiB instead of every 4 KiB.
std::byte* MapPages(size_t bytes) {
  const bool huge = bytes >= 2 * kHugePage;
  const size_t reserved = huge ? bytes + kHugePage : bytes;
  void* const mapped = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const data = static_cast<std::byte*>(mapped);
  if (!huge) return data;
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(data) % kHugePage) % kHugePage;
  if (before > 0) munmap(data, before);
  if (before < kHugePage) munmap(data + before + bytes, kHugePage - before);
#ifdef MADV_HUGEPAGE
  madvise(data + before, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // refused: slower, no more
#endif
  return data + before;
}

// Large buffers, in use and waiting for the next taker of about their size. Those that nobody asked for longest give
// way first.
class Recycler {
 public:
  std::byte* Take(size_t bytes, size_t* capacity) {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.lower_bound(bytes);
    if (found != waiting_.end() && found->first <= bytes + bytes / 8) {
      *capacity = found->first;
      in_use_ += found->first;
      return Remove(found);
    }
    most_in_use_ = std::max(most_in_use_, in_use_ + bytes);
    MakeRoom(most_in_use_ - in_use_ - bytes);
    std::byte* const data = MapPages(bytes);
    if (data == nullptr) return nullptr;
    *capacity = bytes;
    in_use_ += bytes;
    return data;
  }

  void Give(std::byte* data, size_t capacity) {
    const std::lock_guard lock(mutex_);
    in_use_ -= capacity;
    if (capacity > kKeepAtMost) {
      munmap(data, capacity);
      return;
    }
    MakeRoom(kKeepAtMost - capacity);
    bytes_waiting_ += capacity;
    waiting_.emplace(capacity, Buffer{data, ++given_});
  }

 private:
  struct Buffer {
    std::byte* data;
    uint64_t given;  // when, counted in buffers
  };

  // Until at most `bytes` wait.
  void MakeRoom(size_t bytes) {
    while (bytes_waiting_ > bytes) {
      const auto oldest = std::ranges::min_element(waiting_, {}, [](const auto& entry) { return entry.second.given; });
      const size_t capacity = oldest->first;
      munmap(Remove(oldest), capacity);
    }
  }

  std::byte* Remove(std::multimap<size_t, Buffer>::iterator entry) {
    std::byte* const data = entry->second.data;
    bytes_waiting_ -= entry->first;
    waiting_.erase(entry);
    return data;
  }

  std::mutex mutex_;
  std::multimap<size_t, Buffer> waiting_;
  size_t bytes_waiting_ = 0, in_use_ = 0, most_in_use_ = 0;
  uint64_t given_ = 0;
};

Recycler& TheRecycler() {
  static Recycler* const recycler = new Recycler;  // outlives tensors with static storage
  return *recycler;
}

}  // namespace

std::byte* TakeBuffer(size_t bytes, size_t* capacity) {
  const bool large = bytes >= kRecycleFrom;
  const size_t unit = large ? kPage : kAlignment, need = (bytes + unit - 1) / unit * unit;
  *capacity = need;
  std::byte* const data =
      large ? TheRecycler().Take(need, capacity) : static_cast<std::byte*>(std::aligned_alloc(kAlignment, need));
  if (data != nullptr) CountTaken(*capacity);
  return data;
}

void GiveBuffer(std::byte* data, size_t capacity) {
  in_use.fetch_sub(capacity, std::memory_order_relaxed);
  if (capacity >= kRecycleFrom) return TheRecycler().Give(data, capacity);
  std::free(data);
}

TensorMemory MemoryOfTensors() {
  return {in_use.load(std::memory_order_relaxed), peak.load(std::memory_order_relaxed)};
}

void ResetTensorPeak() { peak = in_use.load(); }

}  // namespace modelslim
