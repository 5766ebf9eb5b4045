// What the searches for exponents have in common: their grid and their operands. Inside quant/ only.
#pragma once

#include <span>

#include "quant/smoothing/smooth.h"

namespace modelslim::smooth_search {

inline constexpr int kGrid = 21;
inline double GridValue(int i) { return 5 * i / 100.0; }  // 0, 0.05, ... 1

// The operands of the search: one type, one weight matrix, and, when asked, without rows of zeros.
struct Operands {
  Tensor act, weight;
};
// Throws Error(kMisuse) for shapes and types that do not fit.
Operands MakeOperands(const ConstView& act, std::span<const ConstView> weights, bool skip_zero_rows);

// max |x| of every column.
Channels RowsAbsMax(const Tensor& matrix);

}  // namespace modelslim::smooth_search
