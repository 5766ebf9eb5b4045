// Block-fp8 weights, as DeepSeek-V3 is published: e4m3 codes with one multiplier per 128 x 128 block.
#pragma once

#include "tensor/tensor.h"

namespace modelslim {

inline constexpr int64_t kFp8Block = 128;

// The shape of the scales of a weight [out, in].
Shape Fp8ScaleShape(const Shape& weight);

// out[o, i] = R(f32(e4m3(codes[o, i])) * scales[o / 128, i / 128]), R to out's type (f32, bf16 or f16). codes: F8_E4M3
// [out, in], scales: f32, bf16 or f16 of Fp8ScaleShape(). On the compute pool.
void DequantizeBlockFp8(const ConstView& codes, const ConstView& scales, const View& out);

}  // namespace modelslim
