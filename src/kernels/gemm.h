// Matrix products. All of them run on the compute pool over fixed output tiles; every output element is summed in an
// order that depends on its own row, its own column and K only, so neither threads nor the number of rows change a bit.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

// A linear layer: y[M,N] = x[M,K] * w[N,K]^T + bias[N].
// x, w, y: f32, bf16 or f16 each on its own; bias (may have null data): f32, bf16 or f16 [N].
// Products of two bf16 matrices take bf16 inputs with f32 accumulation; anything else is computed in f32 (bf16 and f16
// widen exactly). The bias is added in f32, then the sum is rounded once to y's type. M may be 0. y must not overlap
// the inputs. The bf16 instructions of x86 treat subnormal inputs as zero. Packs w anew in every call: for several, see
// PackedWeight.
void Linear(const ConstView& x, const ConstView& w, const ConstView& bias, const View& y);

// The same with w prepared once for many calls.
class PackedWeight {
 public:
  // Copies w [N,K] into the layout of the fastest kernel for inputs of type `x_dtype`; w need not live on.
  PackedWeight(const ConstView& w, DType x_dtype);
  ~PackedWeight();
  PackedWeight(PackedWeight&&) noexcept;
  PackedWeight& operator=(PackedWeight&&) noexcept;

  void Apply(const ConstView& x, const ConstView& bias, const View& y) const;
  size_t bytes() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Bytes, or somewhat more, of a PackedWeight of w [n, k] for inputs of x_dtype.
size_t PackedBytes(int64_t n, int64_t k, DType x_dtype, DType w_dtype);
// What Linear() takes beside its operands for w [n, k] and `rows` rows of x.
size_t LinearScratch(int64_t rows, int64_t n, int64_t k, DType x_dtype, DType w_dtype, DType y_dtype);

// General product in f32: c[M,N] = alpha * op(a) * op(b) + beta * c, where op transposes when asked. a, b: f32, bf16 or
// f16, c: f32. op(a) is [M,K], op(b) is [K,N]. With beta 0, c may hold anything.
struct MatMulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1.0f;
  float beta = 0.0f;
};
void MatMul(const ConstView& a, const ConstView& b, const View& c, const MatMulOptions& options = {});
// What it takes beside its operands for op(b) [k, n].
size_t MatMulScratch(int64_t n, int64_t k);

// The kernels in the order in which they are tried, and for each why it would decline on this machine ("" when it would
// not).
struct KernelChoice {
  std::string name;
  std::string declines_because;
};
std::vector<KernelChoice> GemmKernels(DType x_dtype, DType w_dtype);

}  // namespace modelslim
