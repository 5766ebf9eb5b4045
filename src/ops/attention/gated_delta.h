// The gated delta rule: linear attention with a decaying state per head (Qwen3-Next).
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace modelslim {

struct GatedDeltaShape {
  int64_t key_heads = 0, value_heads = 0;  // value head h reads key head h / (value_heads / key_heads)
  int64_t key_dim = 0, value_dim = 0;
};

// Per sequence and value head, with a state S [key_dim, value_dim] that starts at zero, for every row t:
//   S *= exp(log_decay[t, h]);  S += k_t (beta[t, h] (v_t - k_t^T S))^T;  out_t = q_t^T S
// q, k [T, key_heads * key_dim], v, out [T, value_heads * value_dim], log_decay, beta [T, value_heads]: all f32. q
// comes scaled. Sequence s owns rows [offsets[s], offsets[s+1]). Runs on the compute pool over sequences, heads and
// columns; bits do not depend on the threads.
void GatedDeltaRule(const GatedDeltaShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                    const ConstView& log_decay, const ConstView& beta, std::span<const int64_t> offsets,
                    const View& out);

// x * rsqrt(sum x^2 + 1e-6) over every run of `dim` columns, each operation rounded to x's type; times `scale`, to f32.
void L2NormalizeHeads(const ConstView& x, int64_t dim, float scale, const View& out);

// Depthwise convolution over time that sees a row and the kernel - 1 rows before it of the same sequence:
// y[t, c] = sum_j weight[c, 0, j] x[t - kernel + 1 + j, c], f32 sums, rounded to y's type. x, y [T, C], weight [C, 1,
// kernel].
void CausalConvolution(const ConstView& x, const ConstView& weight, std::span<const int64_t> offsets, const View& y);

}  // namespace modelslim
