#include "runner/chunks.h"

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"

namespace modelslim {
namespace {

// The writer's queue, recycled buffers, headers and the program itself.
constexpr uint64_t kFixed = uint64_t{600} << 20;

struct Needs {
  uint64_t weights = 0;    // prepared weights of the largest block
  uint64_t largest = 0;    // of the largest Linear, while it is quantized or prepared
  uint64_t per_token = 0;  // intermediates of one row
};

Needs NeedsOf(const Family& family) {
  Needs needs;
  const auto width = static_cast<uint64_t>(family.HiddenWidth());
  for (const BlockInfo& block : family.layout().blocks) {
    uint64_t weights = 0;
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      const auto elements = static_cast<uint64_t>(module.out_features() * module.in_features());
      // The loaded weight (where it is not simply mapped), the prepared one and the codes.
      weights += elements * (2 * DTypeSize(module.params.front().dtype) + 1);
      needs.largest = std::max(needs.largest, elements * 4);
    }
    needs.weights = std::max(needs.weights, weights);
    // Every multiply-add of a row per hidden element is one element of some intermediate, give or take; f32 and a copy
    // of each.
    const auto wide = static_cast<uint64_t>(family.MultiplyAddsPerToken(block.index)) / std::max<uint64_t>(width, 1);
    needs.per_token = std::max(needs.per_token, (wide + 4 * width) * 8);
  }
  return needs;
}

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

}  // namespace

Residency PlanResidency(const Family& family, std::span<const int64_t> offsets, uint64_t limit) {
  if (limit == 0) limit = OfferedMemory() / 5 * 4;
  const Needs needs = NeedsOf(family);
  int64_t longest = 1;
  for (size_t i = 1; i < offsets.size(); ++i) longest = std::max(longest, offsets[i] - offsets[i - 1]);
  const uint64_t least = kFixed + 2 * needs.largest + needs.per_token * static_cast<uint64_t>(longest);
  if (limit < least) {
    throw Error(ErrorCode::kMisuse,
                "the memory limit is " + FormatBytes(limit) + "; one sample of " + std::to_string(longest) +
                    " tokens at a time needs about " + FormatBytes(least),
                "give a larger --memory, or shorter calibration samples");
  }
  Residency residency;
  const uint64_t room = limit - kFixed;
  const bool fits = needs.weights + needs.largest <= room / 2;
  const uint64_t held = fits ? needs.weights + needs.largest : 2 * needs.largest;
  const auto fitting = static_cast<int64_t>((room - held) / std::max<uint64_t>(needs.per_token, 1));
  // More rows at once than keep all cores busy only push intermediates out of the caches.
  const int64_t useful = std::max<int64_t>(4096, 512 * ComputeThreads());
  const int64_t rows = std::clamp<int64_t>(fitting, longest, std::max(useful, longest));
  residency.chunks = Cut(offsets, rows);
  residency.keep = !fits ? Keep::kNothing : residency.chunks.size() > 1 ? Keep::kPacked : Keep::kValues;
  residency.estimated_peak = kFixed + held + needs.per_token * static_cast<uint64_t>(rows);
  return residency;
}

uint64_t DataFreePeak(const Family& family) { return kFixed + 2 * NeedsOf(family).largest; }

}  // namespace modelslim
