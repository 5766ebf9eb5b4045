// Errors of int8 x int8 quantization under a smoothing scale: one reference product, many trials. Inside quant/ only.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

class SmoothTrials {
 public:
  // act: [tokens, C]; weight: [out, C]; both of one model type, and both must outlive this. Makes the reference
  // product.
  SmoothTrials(const ConstView& act, const ConstView& weight);

  // An error as the reference computes it, in the type of the operands: sqrt(mean(|A B' - G|^2)) / sqrt(mean(G^2)) with
  // every step rounded. It lies within [low, high]; both are NaN when it is no number. A trial that is certain to
  // exceed `bound` may stop early: high is +inf then.
  struct Error {
    float low;
    float high;
    bool decided() const { return low == high; }
  };
  // By products of the rounded operands themselves, in their type: low == high.
  Error Exact(const std::vector<float>& scale, float bound) const;
  // By int8 products: exact for f32 (to f32 rounding). In half precision the values q * delta are themselves rounded,
  // which integers cannot show; what that changes is estimated from column sums, to the tolerance() below.
  Error Estimate(const std::vector<float>& scale, float bound) const;
  static bool CanEstimate(int64_t columns);
  // What an object of this size and a trial hold at most.
  static uint64_t Bytes(int64_t tokens, int64_t channels, int64_t out, DType dtype);
  // Multiplications of one trial.
  double work() const;

  // Relative, in the squared error: what an estimate may be off by. Errors of many independent products average out, so
  // it falls with the size; measured at 500 to 8000 rows, the constants are about twice the largest deviation seen.
  double tolerance() const { return tolerance_; }

 private:
  float Finish(double squares) const;

  ConstView act_, weight_;
  DType dtype_;
  Tensor reference_;  // G [tokens, out]
  float norm_;        // sqrt(mean(G^2))
  double tolerance_;
};

}  // namespace modelslim
