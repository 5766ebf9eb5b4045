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
// Two rows to a byte: n even; packed: [n/2, in], even row in the low nibble. scale: [n].
// row_sums (null or [n]): the sum of the integers of each row; chunk_sums (null or [n, 16]) those of 16 equal column
// slices (in must be a multiple of 16): what scale_bias is made of.
void QuantizeRowsInt4Packed(const ConstView& rows, uint8_t* packed, float* scale, int32_t* row_sums = nullptr,
                            int32_t* chunk_sums = nullptr);
// codes: [n, in] e4m3 bytes. scale: [n].
void QuantizeRowsFp8(const ConstView& rows, uint8_t* codes, float* scale);
// codes: [n, in] e4m3 bytes. exponents: [n, ceil(in/32)], shared exponent + 127.
void QuantizeRowsMxFp8(const ConstView& rows, uint8_t* codes, uint8_t* exponents);
// packed: [n, in/2], even column in the low nibble; in must be even. exponents as above.
void QuantizeRowsMxFp4(const ConstView& rows, uint8_t* packed, uint8_t* exponents);

}  // namespace modelslim
