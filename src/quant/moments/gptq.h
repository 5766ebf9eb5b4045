// GPTQ: rounds a weight column after column and moves each column's error to the columns still to come.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace modelslim {

// The second moment of a linear's inputs, H = (2 / n) X' X over n rows. Computed in f32.
class Hessian {
 public:
  explicit Hessian(int64_t channels);
  // x: [..., channels], any model type. Rows may come in any number of calls; other cuts of the same rows agree to f32
  // rounding.
  void Add(const ConstView& x);
  void Merge(const Hessian& other);
  int64_t rows() const { return rows_; }
  int64_t channels() const { return channels_; }
  // f32 [channels, channels]. Zeros when no row was added.
  Tensor Value() const;
  // X' X itself, f32 (float_sparse wants the sum).
  const Tensor& Sum() const { return sum_; }

 private:
  int64_t channels_;
  int64_t rows_ = 0;
  Tensor sum_;
};

struct GptqOptions {
  int bits = 8;  // 4 or 8
  bool symmetric = true;
  int64_t group_size = 0;  // 0: one scale per row; else columns per group, which must divide the number of columns
  int64_t block_size = 128;
  float percdamp = 0.01f;  // share of mean(diag H) added to the diagonal
};

struct GptqResult {
  Tensor q;            // i8 [out, in]
  Tensor scale;        // [out, groups]; per row: the weight's type, [out, 1]; per group: f32
  Tensor offset;       // like scale; zeros when symmetric. q = round(w / scale + offset)
  Tensor dequantized;  // [out, in], the weight's type: what the columns were rounded to
  double loss = 0.0;   // sum over rows and columns of ((w - dq) / U_jj)^2 / 2, a measure of the output error
};

// weight: [out, in], model type, not changed; hessian: f32 [in, in] as Hessian::Value() gives it.
// Columns that never saw a non-zero input (H_jj = 0) are set to zero. Elementwise steps are rounded to the weight's
// type. Throws Error(kMisuse) on shapes or options that do not fit, Error(kUnexpected) naming `what` when the Hessian
// cannot be factored. Same bytes at any thread count.
GptqResult Gptq(const ConstView& weight, const ConstView& hessian, const GptqOptions& options,
                const std::string& what = "weight");

}  // namespace modelslim
