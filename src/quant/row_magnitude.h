// The largest magnitude of a row or block, taken on the bits: without the sign they are ordered like the values, NaN on
// top.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

uint16_t LargestBits16(const uint16_t* values, int64_t n);
uint32_t LargestBits32(const uint32_t* values, int64_t n);

// As f32, of row `row` of x (f32, bf16 or f16 [rows, cols]); NaN when the row holds one, 0 when it is empty.
float LargestMagnitude(const ConstView& x, int64_t row);

}  // namespace modelslim
