// The float model over calibration samples, block by block, for commands that only look.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/batch.h"
#include "model/family.h"

namespace modelslim {

struct FloatPassOptions {
  std::string title;          // of the progress bar
  uint64_t memory_limit = 0;  // bytes of anonymous memory; 0: 80 % of what the machine offers
  int blocks = 0;             // how many of the first blocks are run
};

// Runs all samples through each block. `enter` gets a block before its first sample, to set observers, and `leave`
// after its last one; the block is dropped then. What observers see does not depend on the memory limit: whole samples,
// in order. Hidden states lie in a nameless file in the system's directory for temporary files (TMPDIR). Throws Stopped
// on request.
void RunFloatPass(const Family& family, const WeightSource& source, const TokenBatch& batch,
                  const FloatPassOptions& options, const std::function<void(Block&)>& enter,
                  const std::function<void(Block&)>& leave);

}  // namespace modelslim
