// GPTQ: rounds a weight column after column and moves each column's error to the columns still to come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
  // The same in the memory of the sum, which is gone then.
  Tensor TakeValue() &&;
  // X' X itself, f32 (float_sparse wants the sum).
  const Tensor& Sum() const { return sum_; }

 private:
  void Average(const View& to) const;

  int64_t channels_;
  int64_t rows_ = 0;
  Tensor sum_;
};

// Of a Hessian, one of that many channels.
uint64_t SecondMomentBytes(int64_t channels);

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

// What Gptq needs of a second moment. It depends on the inputs alone, so linears that read the same share one.
class GptqFactor {
 public:
  // hessian: f32 [in, in] as Hessian::Value() gives it; percdamp as in GptqOptions; dtype: that of the weights. Throws
  // Error(kMisuse) on a shape that does not fit, Error(kUnexpected) naming `what` when it cannot be factored.
  GptqFactor(const ConstView& hessian, float percdamp, DType dtype, const std::string& what = "weight");

  int64_t channels() const { return upper_.view().cols(); }
  DType dtype() const { return upper_.dtype(); }
  float percdamp() const { return percdamp_; }
  // U [in, in] of the damped moment, see InverseUpperFactor().
  ConstView upper() const { return upper_.view(); }
  // Columns that never saw a non-zero input (H_jj = 0).
  const std::vector<int64_t>& unseen() const { return unseen_; }

 private:
  float percdamp_;
  std::vector<int64_t> unseen_;
  Tensor upper_;
};

// The most that making a factor for so many channels holds, the moment aside and the factor included, and the factor
// alone.
uint64_t MakingFactorBytes(int64_t channels, DType dtype);
uint64_t FactorBytes(int64_t channels, DType dtype);
// The most that Gptq() holds for a weight [out, in], beside weight and factor; its codes alone stay.
uint64_t GptqBytes(int64_t out, int64_t in, DType dtype);

// weight: [out, in], the factor's type, not changed. Columns that the factor never saw are set to zero. Elementwise
// steps are rounded to the weight's type. Throws Error(kMisuse) on shapes or options that do not fit, naming `what`;
// options.percdamp must be the factor's. Same bytes at any thread count.
GptqResult Gptq(const ConstView& weight, const GptqFactor& factor, const GptqOptions& options,
                const std::string& what = "weight");
// The same with a factor for this weight alone.
GptqResult Gptq(const ConstView& weight, const ConstView& hessian, const GptqOptions& options,
                const std::string& what = "weight");

}  // namespace modelslim
