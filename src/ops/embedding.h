// Picking rows: embeddings and the dispatch of mixture-of-experts layers. On the compute pool.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace modelslim {

// Throws Error(kInvalidDataset) naming the token and its position when an id is not in [0, vocabulary).
void CheckIds(std::span<const int32_t> ids, int64_t vocabulary);

// out[t] = table[ids[t]], converted to out's type. table [V, C], out [T, C]. Throws as CheckIds().
void EmbeddingLookup(const ConstView& table, std::span<const int32_t> ids, const View& out);

// out[i] = x[rows[i]]; equal types. Row numbers must be valid.
void GatherRows(const ConstView& x, std::span<const int64_t> rows, const View& out);

// y[rows[i]] += R(x[i] * weight[i]) with the product rounded to x's type and the sum to y's. weight: f32 [n], already
// rounded to the type the model wants, or null data for 1. Rows may repeat; they are added in the order of i.
void ScatterAddRows(const ConstView& x, std::span<const int64_t> rows, const ConstView& weight, const View& y);

}  // namespace modelslim
