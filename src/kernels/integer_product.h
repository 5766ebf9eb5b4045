// Exact products of int8 matrices, on the kernels for floats: an integer of 8 bits is a bf16 number, and a sum of up to
// 1024 products of two such stays below 2^24, where f32 holds every integer. Runs of that length are multiplied by
// themselves and added up as integers, so the result is the same on every machine, in any order.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm.h"
#include "tensor/tensor.h"

namespace modelslim {

// w: I8 [N, K], prepared once for many products. K below 2^16 (so that no sum overflows 32 bits).
class PackedIntegers {
 public:
  explicit PackedIntegers(const ConstView& w);

  // y[M, N] = x[M, K] w^T, x: I8, y: I32. Runs on the compute pool.
  void Apply(const ConstView& x, const View& y) const;
  size_t bytes() const;

 private:
  int64_t rows_, cols_;
  std::vector<PackedWeight> runs_;  // of columns
};

}  // namespace modelslim
