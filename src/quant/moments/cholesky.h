// Factors of symmetric positive definite matrices, blocked over our matrix product. f32 storage, f64 inside a diagonal
// block.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace modelslim {

struct FactorOptions {
  std::span<const float> diagonal;  // [n], in place of that of h; empty: h's own
  DType dtype = DType::kF32;        // what the factor is rounded to at the end: any model type
};

// U [n, n], upper triangular with positive diagonal and zeros below, such that H^-1 = U' U. That is the factor GPTQ
// needs; it is the inverse of the upper R with H = R R', so no inverse of H is ever made: 2/3 n^3 operations. h: [n, n]
// f32, symmetric (only the lower triangle is read). Throws Error(kUnexpected) naming `what` and the pivot when h is not
// positive definite or holds NaN. Same bytes at any thread count.
Tensor InverseUpperFactor(const ConstView& h, const std::string& what = "matrix", const FactorOptions& options = {});

// The most that it holds beside h and before U is made: two triangles and what their products take.
uint64_t InverseFactorBytes(int64_t n);

// H^-1 [n, n] f32 of the same kind of matrix, by the same factor: n^3 operations.
Tensor InversePositiveDefinite(const ConstView& h, const std::string& what = "matrix");

}  // namespace modelslim
