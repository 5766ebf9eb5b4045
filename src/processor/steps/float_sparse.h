// float_sparse: prunes weights against the second moment of their inputs; they stay ordinary float tensors.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeFloatSparse(const ProcessorConfig& config);

}  // namespace modelslim
