// e4m3 with one scale per row (or for everything): x ~= value * scale, |value| <= 448. The value is only rounded to 8
// bits when it is stored; forward passes use it unrounded, as the reference does.
#pragma once

#include <cstdint>

#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

// max(largest, 1e-12) / 448, stepwise in dtype (1e-12 is rounded to it first: in f16 it is 0).
float Fp8Scale(float largest, DType dtype);

// Values before the rounding to e4m3: x / scale clamped to +-448, rounded to the promoted dtype of data and scale, as
// f32.
void Fp8ValuesRun(const float* x, int64_t n, float scale, DType scale_dtype, DType data_dtype, float* values);
// What a layer multiplies with: values (rounded to the scale's dtype) * scale, rounded to it; in place allowed.
void Fp8BackRun(const float* values, int64_t n, float scale, DType scale_dtype, float* x);

// x [rows, cols] there and back; axis kTensor, kRow or kColumn. Runs on the compute pool.
void FakeQuantizeFp8(const ConstView& x, const AffineTable& params, const View& out);

}  // namespace modelslim
