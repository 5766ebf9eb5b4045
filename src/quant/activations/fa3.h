// Per-head static ranges for attention inputs (FA3): a narrow window that holds most values of a head, widened over
// samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

// The narrowest window that covers trunc(ratio * n) of the values (at least one), the first such when several are
// equal. `values` is reordered. Ratio 1 gives minimum and maximum. NaN counts as larger than everything.
Range RecallWindow(std::span<float> values, double ratio);

class HeadRanges {
 public:
  HeadRanges(int64_t heads, double ratio) : ratio_(ratio), ranges_(heads) {}

  // One sample: x [tokens, heads * dim], head-major columns. Runs on the compute pool.
  void Observe(const ConstView& x);

  bool seen() const { return seen_; }
  const std::vector<Range>& ranges() const { return ranges_; }  // smallest low, largest high per head
  void Merge(std::span<const Range> other);                     // those of another rank

  // Symmetric int8, one scale per head, dtype of the observed data.
  AffineTable Int8Params() const;
  // e4m3: max(|low|, |high|) / 448.
  AffineTable Fp8Params() const;

 private:
  double ratio_;
  bool seen_ = false;
  DType dtype_ = DType::kF32;
  std::vector<Range> ranges_;
};

// x [tokens, heads * dim] fake-quantized with one parameter per head; out: f32 (or any float type) of the same shape.
void FakeQuantizeHeads(const ConstView& x, const AffineTable& per_head, bool fp8, const View& out);

}  // namespace modelslim
