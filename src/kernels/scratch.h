// Memory that a thread keeps between calls of a kernel.
#pragma once

#include <cstddef>

namespace modelslim {

// One buffer per thread and use; asking again for the same use gives up what it held.
enum class ScratchUse : int { kRowsOfA, kSums, kBias, kAttention, kOneDnn, kCount };

// At least `bytes` bytes, 64-byte aligned, uninitialized, valid until this thread asks for the same use again.
void* ThreadScratch(ScratchUse use, size_t bytes);

}  // namespace modelslim
