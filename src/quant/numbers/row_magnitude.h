// The largest magnitude of a row or block, taken on the bits: without the sign they are ordered like the values, NaN on
// top.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

uint16_t LargestBits16(const uint16_t* values, int64_t n);
uint32_t LargestBits32(const uint32_t* values, int64_t n);

// Asks for columns [begin, begin + n) of row `row` (if there is one) while the row before is still being worked on: the
// first pass over a row waits for memory, the second computes, and this lets them overlap.
void PrefetchRow(const ConstView& x, int64_t row, int64_t begin, int64_t n);

// As f32, of row `row` of x (f32, bf16 or f16 [rows, cols]); NaN when the row holds one, 0 when it is empty.
float LargestMagnitude(const ConstView& x, int64_t row);

}  // namespace modelslim
