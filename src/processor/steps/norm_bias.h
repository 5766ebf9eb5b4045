// The biases of zeros that modelslim_v0 gives to every norm once outlier suppression is on.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeNormBias(const ProcessorConfig& config);

}  // namespace modelslim
