// The end of a matrix product: add the bias, round to the output's type, store.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

struct FinishCall {
  const float* sums;    // [rows, columns] f32
  int64_t sums_stride;  // elements between rows
  ConstView bias;       // [N] of any model type, or null data
  int64_t column;       // first of the N columns
  int64_t rows, columns;
  void* y;  // the tile's first element
  DType y_dtype;
  int64_t y_stride;
};
void FinishTile(const FinishCall& call);

}  // namespace modelslim
