// Column-wise loops of the smoothing statistics. Serial, over columns [begin, end) of a row-major matrix. Inside quant/
// only.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim::smooth_columns {

// Running per-column values. NaN shows in `abs_bits` alone (the largest bit pattern of |x|); min and max pass over it.
struct Running {
  float* min;
  float* max;
  int32_t* abs_bits;
  double* abs_sum;
};
void Update(const ConstView& x, int64_t begin, int64_t end, const Running& running);

// max and abs_bits alone.
void UpdateMax(const ConstView& x, int64_t begin, int64_t end, float* max, int32_t* abs_bits);

}  // namespace modelslim::smooth_columns
