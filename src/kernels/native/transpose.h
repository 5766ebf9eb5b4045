// Transposing 32-bit elements, the core of packing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace modelslim {

// to[c * to_stride + r] = from[r][c], rows `from_stride` bytes apart (any alignment), to_stride in elements. An element
// is a float, or two bf16 that stay together.
void Transpose32(const void* from, int64_t from_stride, int64_t rows, int64_t cols, uint32_t* to, int64_t to_stride);

}  // namespace modelslim
