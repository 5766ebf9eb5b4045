// quarot: rotates the residual stream (and, online, what enters o_proj and down_proj) by Hadamard matrices, which
// spreads outliers over all channels and leaves the function of the model as it is.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeQuarot(const ProcessorConfig& config);

}  // namespace modelslim
