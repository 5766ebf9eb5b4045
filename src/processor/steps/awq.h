// awq: scales chosen by trying exponents of the mean activation with quantized weights.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

// Exponents 0, 1 / n_grid, ... of the mean magnitude of what enters a group; the one whose quantized weights change the
// output of the group's module least (the attention of q, k and v, the MLP of gate and up, else the Linear itself) is
// applied.
std::unique_ptr<Processor> MakeAwq(const ProcessorConfig& config);

}  // namespace modelslim
