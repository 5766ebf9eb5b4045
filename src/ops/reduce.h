// Statistics over rows. x [..., C]: all axes but the last are rows; use Rows() for a part. x: f32, bf16 or f16, reduced
// without rounding; NaN wins over every number. Results are f32, exact for minima and maxima, and the same at any
// thread count.
#pragma once

#include "tensor/tensor.h"

namespace modelslim {

// Minimum and maximum with NaN propagating: one NaN makes both NaN. No elements: +inf and -inf.
struct Range {
  float min = __builtin_huge_valf();
  float max = -__builtin_huge_valf();

  bool empty() const { return min > max; }
};

// Over all elements; x must not be empty.
Range MinMax(const ConstView& x);

// Per column, into f32 [C]. At least one row.
void ColumnMin(const ConstView& x, const View& out);
void ColumnMax(const ConstView& x, const View& out);
void ColumnAbsMax(const ConstView& x, const View& out);
void ColumnMinMax(const ConstView& x, const View& min, const View& max);
// sums[c] += sum over rows of |x|, f64 [C]. Exact, so independent of how rows are cut into calls, for bf16 and f16
// values whose magnitudes lie within a factor of 2^30 or so; blocks of rows that depend on their number alone
// otherwise.
void ColumnSumAbs(const ConstView& x, const View& sums);
// Mean over the rows of this call of |x|, from those sums.
void ColumnMeanAbs(const ConstView& x, const View& out);

// Per row, into f32 [rows].
void RowAbsMax(const ConstView& x, const View& out);
void RowMinMax(const ConstView& x, const View& min, const View& max);

}  // namespace modelslim
