// online_quarot: rotations at the places where a model can compute them at run time (the queries and keys of the
// indexer of DeepSeek-V3.2), for the quantization of activations there.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeOnlineQuarot(const ProcessorConfig& config);

}  // namespace modelslim
