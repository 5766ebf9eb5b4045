// Causal attention over a packed batch of sequences.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace modelslim {

// Sequence s owns rows [offsets[s], offsets[s+1]) of all matrices; a row attends to the rows of its own sequence up to
// itself. q [T, heads*dim], k [T, kv_heads*dim], v [T, kv_heads*v_dim], out [T, heads*v_dim]; query head h reads key
// head h / (heads / kv_heads). Types: f32, bf16, f16 each; out has any of them. Scores and softmax in f32;
// probabilities are rounded to v's type before they multiply v (f32 accumulation), the result is rounded to out's type.
// Blocked: never holds a T x T matrix. Rows are independent of how sequences are cut into calls.
struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;
  int64_t v_dim = 0;
  float scale = 1.0f;
};
void CausalAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                     std::span<const int64_t> offsets, const View& out);

// What it takes beside its operands for `rows` rows of keys and values of these types, of which the longest sequence
// has `longest`.
size_t AttentionScratch(const AttentionShape& shape, int64_t rows, int64_t longest, DType qk_dtype, DType v_dtype);

}  // namespace modelslim
