// The softmax steps of blocked attention and of plain rows.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

// What a row of scores has seen so far: its largest scaled score and the sum of e^(score - max).
struct RowState {
  float max;
  float sum;
};

// The exponentials are those of the reference, one for f32 and a faster one for 16-bit values (see vector_math.h).
// Takes `valid` >= 1 more raw scores of a row: p[j] = e^(scores[j] * scale - new max), rounded to v_dtype and stored as
// p_dtype (the same type, or f32), zero from valid to padded. Returns the factor by which what came before must be
// multiplied. The sum takes the unrounded values, over sixteen interleaved partial sums.
float SoftmaxStep(const float* scores, int64_t valid, int64_t padded, float scale, DType v_dtype, DType p_dtype,
                  void* p, RowState* state);

// y[j] = x[j] * factor, rounded to y's type.
void StoreScaled(const float* x, float factor, int64_t count, DType y_dtype, void* y);

}  // namespace modelslim
