// The order in which the steps of a recipe work on a block. What runs a model (the runner, a test) says how its samples
// are sent through.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "processor/processor.h"

namespace modelslim {

// The last step that needs data, whose output is handed on; null when none does.
const Processor* LastWithData(const std::vector<std::unique_ptr<Processor>>& steps);

// Sends all samples through the block; `hands_on`: what comes out is what the next block reads.
using SendSamples = std::function<void(Processor& step, bool hands_on)>;

// For every step Preprocess, a forward if it needs data, Postprocess, and another forward if it asks for one. The
// output of the last forward of the last step that needs data is handed on, if `has_next` says that there is another
// block.
void WalkBlock(const std::vector<std::unique_ptr<Processor>>& steps, Block& block, RunState& state, bool has_next,
               const SendSamples& send);

}  // namespace modelslim
