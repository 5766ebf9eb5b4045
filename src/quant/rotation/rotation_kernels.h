// The loops of the fast transforms, on f32 arrays. Serial. Inside quant/ only.
#pragma once

#include <cstdint>

#include "tensor/float16.h"

namespace modelslim::rotation_kernels {

// x[total] seen as consecutive vectors of m * unit floats, total a multiple of that: multiplies each vector by S_m (x)
// I_unit, the unscaled Walsh-Hadamard transform over its slow axis. m is a power of two.
void WalshHadamard(float* x, int64_t total, int64_t m, int64_t unit);

// x[c * inner + b] = sum over a of t[c * k + a] * x[a * inner + b], for c < k and b < inner, in place.
void Mix(float* x, const float* t, int64_t k, int64_t inner);

// x[i * unit + b] *= factors[i], i < count.
void ScaleUnits(float* x, const float* factors, int64_t count, int64_t unit);

// Between a model type and f32; FromF32 rounds to nearest even.
void ToF32(const float* from, float* to, int64_t count);
void ToF32(const BF16* from, float* to, int64_t count);
void ToF32(const F16* from, float* to, int64_t count);
void FromF32(const float* from, float* to, int64_t count);
void FromF32(const float* from, BF16* to, int64_t count);
void FromF32(const float* from, F16* to, int64_t count);
// x := x rounded to the type, still as f32.
void RoundTo(DType dtype, float* x, int64_t count);

}  // namespace modelslim::rotation_kernels
