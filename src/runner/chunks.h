// How many calibration samples go through a block at once, and what may stay in memory meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/family.h"

namespace modelslim {

// Samples [begin, end).
struct Chunk {
  int64_t begin = 0, end = 0;
};

struct Residency {
  std::vector<Chunk> chunks;
  Keep keep = Keep::kPacked;    // what of a block's weights stays from chunk to chunk
  uint64_t estimated_peak = 0;  // bytes of anonymous memory
};

// Chooses for `limit` bytes; 0 means 80 % of what the machine offers. Results of a run never depend on the choice.
// Throws Error(kMisuse) when even one sample at a time does not fit, saying what would.
Residency PlanResidency(const Family& family, std::span<const int64_t> offsets, uint64_t limit);

// The same without calibration data: what a data-free run needs at most.
uint64_t DataFreePeak(const Family& family);

}  // namespace modelslim
