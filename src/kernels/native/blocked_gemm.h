// The native matrix product: panels packed for a micro kernel, tiles of the output spread over the compute pool.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "kernels/native/micro_kernel.h"
#include "tensor/tensor.h"

namespace modelslim {

// A matrix [rows, k] somewhere in memory: element (i, j) is at i * row_stride + j * k_stride, in elements.
struct Operand {
  const void* data;
  DType dtype;
  int64_t rows, k;
  int64_t row_stride, k_stride;
};
Operand RowMajor(const ConstView& matrix);    // [rows, cols] as it stands
Operand Transposed(const ConstView& matrix);  // its columns as rows

// Rows [begin, begin + rows) of `a` from element `k` on, `depth` of them padded with zeros to `padded_depth`:
// row-major, in type `compute`. Points into `a` where they lie so already, else into the thread's scratch. `swap` (rows
// that lie in memory one element after another): the two elements of every pair of k change places.
struct TypedRows {
  const void* data;
  int64_t stride;  // elements
};
TypedRows TakeRows(const Operand& a, DType compute, int64_t begin, int64_t rows, int64_t k, int64_t depth,
                   int64_t padded_depth, bool swap);

// The rows of `b` in panels of kernel.cols, converted to the kernel's type and padded with zeros. Owns its memory.
//
// `bf16_pairs`: both operands are bf16 and the kernel is one for f32. The instructions for bf16 add the products of two
// neighbouring k to a sum one after the other, the second one first (VDPBF16PS); with the same order the f32 kernels
// give the same bits but for denormals, so that a bf16 model does not round differently on machines without them.
class Panels {
 public:
  Panels(const MicroKernel& kernel, const Operand& b, bool bf16_pairs = false);  // packs on the compute pool
  // Panel p from element `k` on.
  const void* At(int64_t panel, int64_t k) const {
    return start_ + (panel * padded_k_ + k) * kernel_->cols * (kernel_->compute == DType::kBF16 ? 2 : 4);
  }
  bool bf16_pairs() const { return bf16_pairs_; }
  int64_t rows() const { return rows_; }
  int64_t k() const { return k_; }
  int64_t count() const { return panels_; }
  size_t bytes() const { return data_.bytes(); }
  const MicroKernel& kernel() const { return *kernel_; }

 private:
  const MicroKernel* kernel_;
  bool bf16_pairs_;
  int64_t rows_, k_, padded_k_, panels_;
  Tensor data_;
  const std::byte* start_ = nullptr;  // of data_
};

// y[M, b.rows()] = a[M,K] * b^T + bias, rounded once; y's columns are y_stride elements apart from row to row.
void MultiplyInto(const Operand& a, const Panels& b, const ConstView& bias, void* y, DType y_dtype, int64_t y_stride);

// c[M, b.rows()] += alpha * a * b^T, f32; c rows c_stride elements apart. With `lower_only`, tiles wholly above the
// diagonal are left alone.
void MultiplyAdd(const Operand& a, const Panels& b, float alpha, bool lower_only, float* c, int64_t c_stride);

// A weight packed for `kernel`.
std::unique_ptr<PackedB> PackNative(const MicroKernel& kernel, const ConstView& w, bool bf16_pairs);

}  // namespace modelslim
