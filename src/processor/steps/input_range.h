// Looks at what enters every Linear and changes nothing: what modelslim_v0 decides by (see InputRanges).
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeInputRange(const ProcessorConfig& config);

}  // namespace modelslim
