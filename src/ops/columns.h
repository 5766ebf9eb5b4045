// Moving groups of columns between matrices: fused projections hold several things side by side.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

// Columns [from, from + count) of one matrix become columns [to, to + count) of another.
struct ColumnCopy {
  int64_t from = 0, to = 0, count = 0;
};

// Equal numbers of rows. The values are converted when the types differ (f32, bf16, f16). On the compute pool.
void CopyColumns(const ConstView& source, const View& target, const std::vector<ColumnCopy>& copies);

// Columns [first, first + count) as a matrix of their own.
Tensor TakeColumns(const ConstView& source, int64_t first, int64_t count);

}  // namespace modelslim
