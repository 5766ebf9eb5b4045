// flex_smooth_quant and flex_awq_ssz: smoothing scales whose exponents are searched on the calibration tokens
// themselves.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeFlexSmooth(const ProcessorConfig& config);
std::unique_ptr<Processor> MakeFlexAwqSsz(const ProcessorConfig& config);

}  // namespace modelslim
