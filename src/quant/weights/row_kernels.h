// Fused range + quantize of a few rows, for callers that stream huge weights: read rows, call this, write rows. One
// thread, no allocation, thread-safe; the numerics are those of QuantizeWeight with method minmax, bit for bit.
//
// rows: f32, bf16 or f16 [n, in]. Scales are f32 but rounded to the dtype of the rows. Buffers must not overlap.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

// q: [n, in] int8 integers of `bits` (4 or 8), unpacked. scale: [n].
void QuantizeRowsMinMax(const ConstView& rows, int bits, int8_t* q, float* scale);
// codes: [n, in] e4m3 bytes. scale: [n].
void QuantizeRowsFp8(const ConstView& rows, uint8_t* codes, float* scale);
}  // namespace modelslim
