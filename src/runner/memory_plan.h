// How much memory a run will take, and what it does to keep within a limit. Memory is what the process has to itself:
// resident anonymous memory (RssAnon in /proc/self/status), from the start of the process to its end. Pages of mapped
// files (weights, hidden states) are the page cache's, which gives them back when somebody needs them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/module.h"
#include "runner/block_memory.h"

namespace modelslim {

// Samples [begin, end).
struct Chunk {
  int64_t begin = 0, end = 0;
};

struct MemoryPlan {
  // Of samples that go through a block together, for each stage; none without samples.
  std::vector<std::vector<Chunk>> chunks;
  Keep keep = Keep::kPacked;    // what of a block's weights stays from chunk to chunk
  uint64_t queue_bytes = 0;     // that may wait for the disk; one tensor is let in however large
  uint64_t ahead_bytes = 0;     // of page cache that reading ahead may fill
  uint64_t estimated_peak = 0;  // bytes
};

// Chooses for `limit` bytes; 0 means 80 % of what the machine offers. Looks at what the process holds already, so it is
// called when all has been read that is read before the weights. Results of a run never depend on the choice. Throws
// Error(kMisuse) when even the least does not fit, saying what would.
MemoryPlan PlanMemory(const MemoryInputs& inputs, uint64_t limit);

}  // namespace modelslim
