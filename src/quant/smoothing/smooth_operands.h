// The scaled and quantized operands of a trial of flex_smooth_quant. Inside quant/ only.
//
// A row x becomes v = x / s (activations) or x * s (weights), m = max |v|, delta = m / 127, q = round(v / delta) within
// -127 .. 127, and its value q * delta: every step rounded to the type of the tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim::smooth_operands {

enum class Side { kActivation, kWeight };

// One row: v into `v` and q, as integers in f32, into `q`; returns delta, or 0 where a quotient would be no number (a
// zero row, NaN, infinity). x: `count` elements of `dtype`. v and q may be the same memory: q stays then.
float QuantizeRow(const void* x, DType dtype, const float* scale, Side side, int64_t count, float* v, float* q);
// The same as values q * delta of `dtype`.
bool FakeQuantRow(const void* x, DType dtype, const float* scale, Side side, int64_t count, void* out);

// Per-column sums over the rows of one operand, which tell how the rounded values q * delta of half precision differ
// from exact multiples f * q: with e the error of either against v, the sums of e^2 and e v, and of v^2.
struct ColumnErrors {
  std::vector<float> rounded_square, exact_square, rounded_dot, exact_dot, energy;

  void Reset(int64_t columns);
  void Add(const ColumnErrors& other);
};
// A few rows of v and q, `stride` elements apart, with their deltas.
inline constexpr int64_t kFitRows = 4;
struct FittedRows {
  const float* v;
  const float* q;
  const float* delta;           // [rows]
  int64_t rows, count, stride;  // rows: at most kFitRows
};
// Adds the rows; `factor` [rows] gets the factors f that make f * q closest to the rounded values.
void FitRows(const FittedRows& from, DType dtype, ColumnErrors* errors, float* factor);

// Sum over i of round(round(y - g)^2), each step rounded to dtype, added up in f64.
double SquaredError(const void* y, const void* g, DType dtype, int64_t count);
// Sum over i of round(g^2).
double SquaredSum(const void* g, DType dtype, int64_t count);

}  // namespace modelslim::smooth_operands
