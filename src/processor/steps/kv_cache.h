// kv_smooth and dynamic_cache: steps that look at keys and values where they would enter the cache.
#pragma once

#include <memory>

#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeKvSmooth(const ProcessorConfig& config);
std::unique_ptr<Processor> MakeDynamicCache(const ProcessorConfig& config);

}  // namespace modelslim
