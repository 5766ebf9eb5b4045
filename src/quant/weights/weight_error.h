// How well a weight was quantized.
#pragma once

#include <cstdint>

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

struct WeightError {
  double signal = 0.0;     // sum of squares of the float weight
  double noise = 0.0;      // sum of squares of the difference
  double max_abs = 0.0;    // largest difference
  int64_t count = 0;       // elements compared
  int64_t clipped = 0;     // codes at an end of their range that stand for a value more than half a step beyond it
  int64_t not_finite = 0;  // elements where either side is NaN or infinite; they enter no sum
  double scale_min = 0.0, scale_max = 0.0;

  double relative() const;  // sqrt(noise / signal); 0 for 0 / 0
  double clipped_share() const { return count == 0 ? 0.0 : static_cast<double>(clipped) / static_cast<double>(count); }
  void Add(const WeightError& other);  // of other rows of the same tensor
};

// a: float weight, b: dequantized weight; equal shapes, any float types. Compute pool; sums in f64 in a fixed order.
WeightError Compare(const ConstView& a, const ConstView& b);
// The same against codes, with clipped and scale_min/max filled in.
WeightError Compare(const ConstView& w, const QuantizedWeight& quantized);

}  // namespace modelslim
