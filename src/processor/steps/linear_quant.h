// linear_quant: turns the selected Linears into quantized ones.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeLinearQuant(const ProcessorConfig& config);

}  // namespace modelslim
