// fa3_quant: static int8 ranges per head for what enters a latent attention in its absorbed form.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeFa3Quant(const ProcessorConfig& config);

}  // namespace modelslim
