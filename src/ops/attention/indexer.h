// The lightning indexer of DeepSeek-V3.2: which earlier tokens a token attends to, and attention over those only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "tensor/tensor.h"

namespace modelslim {

// x * H * n^-0.5 for every run of n columns, H the Sylvester-ordered Hadamard matrix; in f32, rounded once. n a power
// of two.
void HadamardHeads(const View& x, int64_t n);

// score[t, s] = sum_h relu(q[t, h] . k[s]) * w[t, h] for s <= t in f32; the `top` best s of every row t, ascending.
// One sequence: q [T, heads * dim], k [T, dim], w f32 [T, heads]. Row t has min(top, t + 1) positions, in out[t].
std::vector<std::vector<int32_t>> SelectPositions(const ConstView& q, const ConstView& k, const ConstView& w,
                                                  int64_t top);

// CausalAttention() for one sequence whose row t attends to positions[t] only. kv_heads must equal heads.
void SelectedAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                       const std::vector<std::vector<int32_t>>& positions, const View& out);

}  // namespace modelslim
