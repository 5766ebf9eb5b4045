#include "runner/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace modelslim {
namespace {

// Maps the pages in bulk, reading them first; old kernels, which do not know the request, get them touched one by one.
void Populate(const ConstView& view) {
  static const auto kPage = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(view.data);
  const uintptr_t begin = address / kPage * kPage, end = address + view.bytes();
#ifdef MADV_POPULATE_READ
  if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ) == 0) return;
#endif
  volatile unsigned char sum = 0;
  for (uintptr_t page = begin; page < end; page += kPage) {
    sum = static_cast<unsigned char>(sum +
                                     *reinterpret_cast<const volatile unsigned char*>(page < address ? address : page));
  }
}

}  // namespace

struct ReadAhead::State {
  const WeightSource& source;
  std::mutex mutex;
  std::condition_variable wake;
  const std::vector<ModuleInfo>* modules = nullptr;
  uint64_t generation = 0;
  bool stopping = false;
  std::thread thread;

  explicit State(const WeightSource& weights) : source(weights) {}

  void Loop() {
    uint64_t seen = 0;
    for (;;) {
      const std::vector<ModuleInfo>* work = nullptr;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || generation != seen; });
        if (stopping) return;
        seen = generation;
        work = modules;
      }
      for (const ModuleInfo& module : *work) {
        for (const ParamInfo& param : module.params) source.WillNeed(param);
        {
          const std::lock_guard lock(mutex);
          if (stopping || generation != seen) break;
        }
        for (const ParamInfo& param : module.params) {
          if (const std::optional<ConstView> view = source.Map(param)) Populate(*view);
        }
      }
    }
  }
};

ReadAhead::ReadAhead(const WeightSource& source) : state_(std::make_unique<State>(source)) {
  state_->thread = std::thread([state = state_.get()] { state->Loop(); });
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

void ReadAhead::Start(const std::vector<ModuleInfo>& modules) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->modules = &modules;
    ++state_->generation;
  }
  state_->wake.notify_all();
}

}  // namespace modelslim
