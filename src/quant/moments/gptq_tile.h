// The innermost loop of GPTQ: a few rows over the columns of a block. Inside quant/ only.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace modelslim {

inline constexpr int64_t kGptqLanes = 16;

struct GptqCodes {
  float lowest, highest;
};

// kGptqLanes rows walk over the columns of a block together, one row per lane: rows never depend on each other, columns
// do. All values are f32 holding numbers of the weight's type. Matrices [count, kGptqLanes] unless said otherwise.
struct GptqTile {
  float* w;            // updated in place
  const float* u;      // [count, count], the block of U on the diagonal
  const float* scale;  // of every column's group
  const float* offset;
  float* dq;     // out
  float* err;    // out
  double* loss;  // [kGptqLanes], added to
  int64_t count;
};

// dq = fake-quantized w_j; err = (w_j - dq) / U_jj; then w_k -= err U_jk for the columns still to come. `params` is the
// type of scale and offset and of what comes from them (the weight's, or f32): each step is rounded to it, and w to the
// weight's.
void WalkGptqTile(const GptqTile& tile, GptqCodes codes, DType weight, DType params);

// rows x [.., stride] to [count, kGptqLanes] and back.
void ToLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to);
void FromLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to);

// w -= p, both rounded to `dtype`.
void SubtractRow(float* w, const float* p, int64_t count, DType dtype);

}  // namespace modelslim
