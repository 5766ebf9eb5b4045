#include "base/memory.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "base/cgroup.h"
#include "base/parallel.h"

namespace modelslim {
uint64_t OfferedMemory() {
  struct sysinfo info {};
  const uint64_t physical =
      sysinfo(&info) == 0 ? static_cast<uint64_t>(info.totalram) * info.mem_unit : uint64_t{4} << 30;
  const uint64_t limit = ReadCgroupLimits().memory;
  return limit > 0 ? std::min(physical, limit) : physical;
}

// statm counts pages: resident ones are the second number, those of files and of shared memory the third.
uint64_t AnonymousMemory() {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0, shared = 0;
  if (!(file >> size >> resident >> shared) || resident < shared) return 0;
  return (resident - shared) * page;
}

void KeepHeapSmall() {
#ifdef __GLIBC__
  constexpr int kThreshold = 64 << 10;  // what is set stays
  mallopt(M_MMAP_THRESHOLD, kThreshold);
  mallopt(M_TRIM_THRESHOLD, kThreshold);
#endif
}

void ReturnFreeMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

struct PeakMemory::State {
  std::atomic<uint64_t> peak{0};
  std::mutex mutex;
  std::condition_variable stop;
  bool stopping = false;
  std::thread thread;

  void Sample() {
    const uint64_t now = AnonymousMemory();
    if (now > peak) peak = now;
  }

  void Run() {
    std::unique_lock lock(mutex);
    // What is soon over comes first: tokenizers are read, a plan is made.
    constexpr int kCloseLooks = 1000;
    int looks = 0;
    do {
      try {
        Sample();
      } catch (const std::exception&) {  // no memory to look with: the next look may have some
      }
    } while (
        !stop.wait_for(lock, std::chrono::milliseconds(looks++ < kCloseLooks ? 1 : 5), [this] { return stopping; }));
  }
};

namespace {

std::mutex watched_mutex;
PeakMemory* watched = nullptr;

}  // namespace

void LookAtMemory() {
  const std::lock_guard lock(watched_mutex);
  if (watched != nullptr) watched->peak();
}

PeakMemory::PeakMemory() : state_(std::make_unique<State>()) {
  {
    const std::lock_guard lock(watched_mutex);
    watched = this;
  }
  // Without a thread the peak is what is used when somebody asks.
  TryStartThread(state_->thread, [state = state_.get()] { state->Run(); });
}

PeakMemory::~PeakMemory() {
  {
    const std::lock_guard lock(watched_mutex);
    watched = nullptr;
  }
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->stop.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

uint64_t PeakMemory::peak() const {
  state_->Sample();
  return state_->peak;
}

}  // namespace modelslim
