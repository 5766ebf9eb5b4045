// float_sparse: prunes a weight by ADMM against the second moment of its inputs, then thins the mantissas of what is
// left. The result is an ordinary float weight; there is no scale.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

// H = X' X over all rows, and the running "scaler row" of the reference: the squared column norms averaged over batch
// entries.
class SparseStats {
 public:
  explicit SparseStats(int64_t channels);
  // x: one input of the linear, [tokens, C] (counts as one entry) or [batch, ..., C] (counts `batch` entries).
  void Add(const ConstView& x);
  int64_t channels() const { return channels_; }
  int64_t entries() const { return entries_; }
  const Tensor& Moment() const { return moment_; }  // f32 [C, C]
  const std::vector<float>& ScalerRow() const { return scaler_row_; }

 private:
  int64_t channels_;
  int64_t entries_ = 0;
  Tensor moment_;
  std::vector<float> scaler_row_;
};

struct SparseOptions {
  double sparse_ratio = 0.3;      // share of elements set to zero, over the whole matrix
  double keep_proportion = 0.02;  // share of elements whose mantissa is kept
  float damping = 0.1f;
  int iterations = 20;
  int mask_iterations = 15;  // after these the mask stays
};

struct SparseResult {
  Tensor weight;      // [out, in], the weight's type
  Tensor pruned;      // the same before the mantissas are thinned
  int64_t zeros = 0;  // elements of `weight` that are zero
  int64_t kept = 0;   // elements protected from thinning
};

// weight: [out, in], model type. Ties among equal magnitudes are pruned in the order of the transposed matrix [in,
// out]. Throws Error(kMisuse) on shapes or options that do not fit; Error(kUnexpected) naming `what` when statistics
// hold NaN or infinity.
SparseResult AdmmSparsify(const ConstView& weight, const SparseStats& stats, const SparseOptions& options = {},
                          const std::string& what = "weight");

// The most that AdmmSparsify() holds for a weight [out, in], beside weight and statistics, its result included.
uint64_t SparsifyBytes(int64_t out, int64_t in, DType dtype);

// The mantissa rule on f16 values: |x| >= 2^-8 keeps two mantissa bits (or, with `keep`, all); 2^-14 <= |x| < 2^-8
// becomes a power of two either way; below, zero (unless `keep`).
float ThinMantissa(float x, bool keep);

}  // namespace modelslim
