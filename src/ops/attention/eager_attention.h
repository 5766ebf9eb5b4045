// Attention as plain tensor operations compute it: every step rounded to the activations' type.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/attention.h"

namespace modelslim {

// CausalAttention() with the rounding points of an eager implementation (DeepSeek-V3's): the scores after the product
// and again after the scale, both to q's type; the softmax in f32, rounded to v's type after it was divided by its sum.
// In f32 the two agree, and CausalAttention() runs.
void EagerAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                    std::span<const int64_t> offsets, const View& out);

// Softmax in f32 over scores[0 ... count), rounded to `dtype`.
void RoundedSoftmax(float* scores, int64_t count, DType dtype);

}  // namespace modelslim
