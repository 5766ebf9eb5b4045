#include "runner/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/parallel.h"

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
  struct Item {
    const ParamInfo* param;
    uint64_t begin;  // bytes of all parameters before it
  };

  const WeightSource& source;
  const uint64_t window;
  std::vector<Item> items;
  std::unordered_map<std::string_view, uint64_t> ends;  // bytes up to and with a parameter
  std::mutex mutex;
  std::condition_variable wake;
  uint64_t reached = 0;  // bytes up to the last parameter that was asked for
  bool stopping = false;
  std::thread thread;

  State(const WeightSource& weights, std::span<const BlockInfo> blocks, uint64_t ahead)
      : source(weights), window(ahead) {
    uint64_t end = 0;
    for (const BlockInfo& block : blocks) {
      for (const ModuleInfo& module : block.modules) {
        for (const ParamInfo& param : module.params) {
          items.push_back({&param, end});
          end += static_cast<uint64_t>(NumElements(param.shape)) * DTypeSize(param.dtype);
          ends.emplace(param.name, end);
        }
      }
    }
  }

  void Reach(const ParamInfo& param) {
    const auto end = ends.find(param.name);
    if (end == ends.end()) return;
    {
      const std::lock_guard lock(mutex);
      if (end->second <= reached) return;
      reached = end->second;
    }
    wake.notify_one();
  }

  void Loop() {
    for (const Item& item : items) {
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || item.begin < reached + window; });
        if (stopping) return;
        if (item.begin < reached) continue;  // overtaken
      }
      try {
        source.WillNeed(*item.param);
        if (const std::optional<SharedTensor> stored = source.Map(*item.param)) Populate(stored->view());
      } catch (const std::exception&) {  // whoever needs the parameter meets the same error, and can tell of it
        return;
      }
    }
  }
};

ReadAhead::ReadAhead(const WeightSource& source, std::span<const BlockInfo> blocks, uint64_t window)
    : state_(std::make_unique<State>(source, blocks, window)) {
  // Without a thread every parameter is read when it is asked for.
  TryStartThread(state_->thread, [state = state_.get()] { state->Loop(); });
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

std::optional<SharedTensor> ReadAhead::Map(const ParamInfo& param) const {
  state_->Reach(param);
  return state_->source.Map(param);
}

bool ReadAhead::IsInPlace(const ParamInfo& param) const { return state_->source.IsInPlace(param); }

Tensor ReadAhead::Load(const ParamInfo& param) const {
  state_->Reach(param);
  return state_->source.Load(param);
}

Tensor ReadAhead::LoadRows(const ParamInfo& param, int64_t begin, int64_t end) const {
  state_->Reach(param);
  return state_->source.LoadRows(param, begin, end);
}

void ReadAhead::WillNeed(const ParamInfo& param) const { state_->source.WillNeed(param); }
void ReadAhead::DontNeed(const ParamInfo& param) const { state_->source.DontNeed(param); }

}  // namespace modelslim
