// Integers with a scale and an offset: q = clamp(round(x / scale + offset)), x ~= (q - offset) * scale.
//
// Every elementwise step is done in f32 and rounded to the storage type of the moment, as msModelSlim does it
// (behaviour of 26.1.0): parameters have the dtype of the data they were taken from, quotient and sum are rounded to
// the promoted dtype of data and parameters, the dequantized product to the dtype of the parameters and then to the
// dtype of the output. Rounding to integers is half to even. Data that is NaN becomes 0. Integers live in int8 whatever
// their width, unpacked.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/reduce.h"
#include "tensor/tensor.h"

namespace modelslim {

// Signed integers of 2 to 8 bits. Symmetric parameters use 2^(bits-1) - 1 as divisor and offset 0, yet -2^(bits-1)
// stays a legal code; asymmetric ones map the range onto all 2^bits codes.
struct IntFormat {
  int bits = 8;
  bool symmetric = true;

  constexpr float lowest() const { return static_cast<float>(-(1 << (bits - 1))); }
  constexpr float highest() const { return static_cast<float>((1 << (bits - 1)) - 1); }
};

// One scale and offset, held as f32 but already rounded to `dtype`. The offset is an integer in the signed domain and
// is added after the division.
struct AffineParams {
  float scale = 1.0f;
  float offset = 0.0f;
  DType dtype = DType::kF32;
};

// From the range of data of type `dtype` (min and max of a tensor, channel or group). The range is widened to contain
// 0; the scale is at least 2^-23. NaN in the range gives a NaN scale, an infinity an infinite one.
AffineParams ParamsFromRange(float min, float max, DType dtype, IntFormat format);

// Which elements of a [rows, cols] matrix share parameters: all; those of a row; of a column; of `group_size`
// consecutive columns of a row (parameter index row * groups_per_row + group; the last group of a row may be short).
enum class ParamAxis : uint8_t { kTensor, kRow, kColumn, kGroup };

struct AffineTable {
  ParamAxis axis = ParamAxis::kTensor;
  DType dtype = DType::kF32;
  std::vector<float> scale;
  std::vector<float> offset;  // as many as scales, or empty: all 0
  int64_t group_size = 0;     // kGroup only

  static AffineTable Single(const AffineParams& params) {
    return {ParamAxis::kTensor, params.dtype, {params.scale}, {params.offset}, 0};
  }
};

// Parameters from one range per row, column or group (`min` and `max` of equal length).
AffineTable TableFromRanges(const std::vector<float>& min, const std::vector<float>& max, DType dtype, IntFormat format,
                            ParamAxis axis, int64_t group_size = 0);

// x: f32, bf16 or f16 [.., cols], seen as [rows, cols]; q: I8 of the same size. Runs on the compute pool.
void Quantize(const ConstView& x, const AffineTable& params, IntFormat format, const View& q);
// out: f32, bf16 or f16. The product is rounded to params.dtype first, then to out's type.
void Dequantize(const ConstView& q, const AffineTable& params, const View& out);
// Dequantize(Quantize(x)) without the integers in between. `out` may be x itself when the types agree.
void FakeQuantize(const ConstView& x, const AffineTable& params, IntFormat format, const View& out);

Range Merge(const Range& a, const Range& b);
// Of all elements of x; single-threaded.
Range RangeOf(const ConstView& x);
// Per column of x [rows, cols] into min, max (resized to cols); single-threaded.
void ColumnRangesOf(const ConstView& x, std::vector<float>* min, std::vector<float>* max);

}  // namespace modelslim
