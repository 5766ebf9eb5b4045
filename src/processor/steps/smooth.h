// smooth_quant and iter_smooth: scales between a producer and its consumers, from per-channel statistics of the input.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeSmoothQuant(const ProcessorConfig& config);
std::unique_ptr<Processor> MakeIterSmooth(const ProcessorConfig& config);

}  // namespace modelslim
