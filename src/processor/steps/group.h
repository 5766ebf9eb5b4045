// group: its members share one forward of the block.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeGroup(const ProcessorConfig& config, const Family& family);

}  // namespace modelslim
