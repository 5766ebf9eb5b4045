// awq: the scale of a group chosen by trying exponents of the mean activation and measuring the module's own output.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "quant/smoothing/smooth.h"

namespace modelslim {

// s = max(mean^ratio, 1e-4), divided by sqrt(max s * min s); what is not finite becomes 1. In the type of `mean`.
Channels AwqScale(const Channels& mean, double ratio);

// Mean of |x| per channel over all samples, as the reference keeps it: the mean of a sample is rounded to the type of
// the activations, and it joins the mean so far, each weighted with its tokens, in that type too.
class RunningAbsMean {
 public:
  // x [tokens, channels] of one sample; all samples have one type and width. One without tokens is skipped.
  void Observe(const ConstView& x);
  bool empty() const { return tokens_ == 0; }
  const Channels& value() const { return mean_; }

 private:
  Channels mean_;
  int64_t tokens_ = 0;
};

// W' = Q(W s) / s for one weight, elementwise rounded to its type. `quantize` returns the fake-quantized weight (any
// model type) of a [out, C] weight.
using FakeQuantWeight = std::function<Tensor(const ConstView&)>;
Tensor AwqTrialWeight(const ConstView& weight, const Channels& scale, const FakeQuantWeight& quantize);

struct AwqSearchResult {
  double ratio = 0.0;
  Channels scale;
  double loss = 0.0;
  std::vector<double> losses;  // one per ratio
};

// Ratios g / n_grid, g = 0 .. n_grid - 1, the first smallest loss wins. `loss` runs the inspected module with the trial
// weights that a scale makes and returns the mean squared difference of outputs; the caller restores its weights after.
// Throws Error(kUnexpected) when no loss is a number.
AwqSearchResult AwqSearch(const Channels& mean, int n_grid, const std::function<double(const Channels&)>& loss);

}  // namespace modelslim
