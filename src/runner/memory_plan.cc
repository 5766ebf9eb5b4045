#include "runner/memory_plan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "io/output_file.h"
#include "runner/save_modules.h"

namespace modelslim {
namespace {

// What the process comes to hold beside tensors, measured on the golden cases: what the program itself needs; for each
// compute thread its stack and its corner of the heap, and the scratch of the kernels where blocks are forwarded; for
// each tensor of the output its place in the queue's, the ledger's and the journal's books.
constexpr uint64_t kKibi = 1024, kFixed = 256 * kKibi, kOfATensor = 2 * kKibi;
constexpr uint64_t kOfAThread = 64 * kKibi, kOfAForwardingThread = 480 * kKibi;
// Tensors that are too small to come straight from the system leave holes in the heap; beside forwards they are lost
// in the rounding of everything else.
constexpr uint64_t kHoles = uint64_t{1} << 20;
// The writer's queue evens out a disk that stalls.
constexpr uint64_t kLongestQueue = uint64_t{192} << 20;

std::vector<Chunk> Cut(std::span<const int64_t> offsets, int64_t rows) {
  std::vector<Chunk> chunks;
  const auto samples = static_cast<int64_t>(offsets.size()) - 1;
  for (int64_t begin = 0; begin < samples;) {
    int64_t end = begin + 1;
    while (end < samples && offsets[end + 1] - offsets[begin] <= rows) ++end;
    chunks.push_back({begin, end});
    begin = end;
  }
  return chunks;
}

class Planner {
 public:
  Planner(const MemoryInputs& inputs, uint64_t limit) : inputs_(inputs), recipe_(inputs) {
    limit_ = limit > 0 ? limit : OfferedMemory() / 5 * 4;
    for (const BlockInfo& block : inputs.family.layout().blocks) blocks_.emplace_back(inputs, recipe_, block);
    for (const BlockMemory& block : blocks_) largest_output_ = std::max(largest_output_, block.largest_output());
    MeasureRest();
    ReturnFreeMemory();
    const uint64_t before = AnonymousMemory();
    LogDebug("memory before the weights: " + FormatBytes(before) + ", at most so far " +
             FormatBytes(inputs.peak_so_far));
    const uint64_t of_a_thread = inputs.tokens() > 0 ? kOfAForwardingThread : kOfAThread;
    base_ = before + kFixed + of_a_thread * static_cast<uint64_t>(ComputeThreads());
    if (inputs.plan == nullptr) return;
    uint64_t largest = 0;  // whether mapped or not: it passes through the buffer
    for (const OutputTensor& tensor : inputs.plan->layout.tensors) largest = std::max(largest, tensor.bytes());
    base_ += kOfATensor * inputs.plan->layout.tensors.size() + std::min(kWriteBufferBytes, largest);
  }

  MemoryPlan Plan() const {
    MemoryPlan plan = inputs_.tokens() > 0 ? WithSamples() : WithoutSamples();
    plan.ahead_bytes = std::min(limit_, OfferedMemory()) / 4;
    return plan;
  }

 private:
  // What is outside of the blocks is made and written a piece at a time, where it cannot be written as it lies.
  void MeasureRest() {
    if (inputs_.plan == nullptr) return;
    const bool rotated = std::ranges::any_of(inputs_.plan->stages, [](const PlannedStage& stage) {
      return std::ranges::any_of(stage.steps, [](const auto& step) { return step->NotesRewrites(); });
    });
    for (const ModuleInfo& module : inputs_.family.layout().rest) {
      for (const ParamInfo& param : module.params) {
        if (!rotated && inputs_.source.IsInPlace(param)) continue;
        const uint64_t bytes = static_cast<uint64_t>(NumElements(param.shape)) * sizeof(float);
        rest_ = std::max(rest_, 2 * std::min(bytes, kPieceBytes));
        largest_output_ = std::max(largest_output_, std::min(bytes, kPieceBytes));
      }
    }
    if (const ModuleInfo* const head = inputs_.plan->quantized_head()) {
      // Its values, its codes, and the values behind these for the ledger.
      const auto elements = static_cast<uint64_t>(head->out_features() * head->in_features());
      rest_ = std::max(rest_, 2 * elements + 2 * elements * DTypeSize(head->params.front().dtype));
      largest_output_ = std::max(largest_output_, elements);
    }
    if (!HasFact<PlannedGlobalRotation>(inputs_.plan->model.decisions.facts)) return;
    const auto width = static_cast<uint64_t>(inputs_.family.HiddenWidth());
    rest_ = std::max(rest_, width * width * sizeof(float));
  }

  uint64_t Work(int64_t rows, Keep keep) const {
    uint64_t most = rest_;
    for (const BlockMemory& block : blocks_) most = std::max(most, block.Peak(rows, keep));
    return inputs_.tokens() > 0 ? most : most + std::min(most / 4, kHoles);
  }

  // With a queue of the largest tensor: less cannot be had, since that one is always let in.
  uint64_t Least(uint64_t work) const { return base_ + work + largest_output_; }

  MemoryPlan Finished(MemoryPlan plan, uint64_t work) const {
    const uint64_t least = Least(work);
    const uint64_t wanted = std::clamp(work / 8, largest_output_, std::max(kLongestQueue, largest_output_));
    plan.queue_bytes = std::min(wanted, largest_output_ + limit_ - least);
    LogDebug("memory planned: " + FormatBytes(base_) + " for the program and its books, " + FormatBytes(work) +
             " for work, " + FormatBytes(plan.queue_bytes) + " for the writer's queue");
    // More than is written at all never waits.
    const uint64_t written = inputs_.plan == nullptr ? 0 : inputs_.plan->layout.total_size;
    // The high-water mark misses what pages of files have come since.
    const uint64_t so_far = inputs_.peak_so_far + inputs_.peak_so_far / 16;
    plan.estimated_peak = std::max(least - largest_output_ + std::min(plan.queue_bytes, written), so_far);
    return plan;
  }

  [[noreturn]] void Refuse(const std::string& what, uint64_t least, const std::string& tip) const {
    throw Error(ErrorCode::kMisuse,
                "the memory limit is " + FormatBytes(limit_) + "; " + what + " needs about " + FormatBytes(least), tip);
  }

  MemoryPlan WithoutSamples() const {
    const uint64_t work = Work(0, Keep::kNothing);
    if (limit_ < Least(work)) Refuse("the largest layer", Least(work), "give a larger --memory");
    return Finished({}, work);
  }

  // The most rows, up to `most`, for which all fits; nothing when a single sample does not.
  std::optional<int64_t> FittingRows(int64_t longest, int64_t most, Keep keep) const {
    if (Least(Work(longest, keep)) > limit_) return std::nullopt;
    int64_t fits = longest;
    for (int64_t step = most - fits; step > 0; step /= 2) {
      while (fits + step <= most && Least(Work(fits + step, keep)) <= limit_) fits += step;
    }
    return fits;
  }

  MemoryPlan WithSamples() const {
    const int64_t longest = inputs_.longest();
    // More rows at once than keep all cores busy only push intermediates out of the caches.
    const int64_t useful = std::max(std::max<int64_t>(4096, 512 * ComputeThreads()), longest);
    const int64_t most = std::min(useful, std::max(inputs_.tokens(), longest));
    MemoryPlan plan;
    int64_t rows = 0;
    // A prepared weight is of no use to a single chunk. Reading all weights again for every chunk is worth it where
    // chunks become much longer.
    for (const Keep keep : {Keep::kPacked, Keep::kValues, Keep::kNothing}) {
      const std::optional<int64_t> fitting = FittingRows(longest, most, keep);
      if (!fitting) continue;
      std::vector<std::vector<Chunk>> chunks;
      for (const std::span<const int64_t> stage : inputs_.offsets) chunks.push_back(Cut(stage, *fitting));
      const bool whole = std::ranges::all_of(chunks, [](const auto& stage) { return stage.size() <= 1; });
      const bool better =
          plan.chunks.empty() || (keep == Keep::kValues && whole) || (keep == Keep::kNothing && *fitting >= 8 * rows);
      if (!better) continue;
      rows = *fitting;
      plan.keep = keep;
      plan.chunks = std::move(chunks);
    }
    if (plan.chunks.empty()) {
      Refuse("one sample of " + std::to_string(longest) + " tokens at a time", Least(Work(longest, Keep::kNothing)),
             "give a larger --memory, or shorter calibration samples");
    }
    int64_t largest = 0;
    for (size_t stage = 0; stage < plan.chunks.size(); ++stage) {
      const std::span<const int64_t> offsets = inputs_.offsets[stage];
      for (const Chunk& chunk : plan.chunks[stage])
        largest = std::max(largest, offsets[chunk.end] - offsets[chunk.begin]);
    }
    const uint64_t work = Work(largest, plan.keep);
    return Finished(std::move(plan), work);
  }

  const MemoryInputs& inputs_;
  const RecipeMemory recipe_;
  uint64_t limit_ = 0, base_ = 0, rest_ = 0, largest_output_ = 0;
  std::vector<BlockMemory> blocks_;
};

}  // namespace

MemoryPlan PlanMemory(const MemoryInputs& inputs, uint64_t limit) { return Planner(inputs, limit).Plan(); }

}  // namespace modelslim
