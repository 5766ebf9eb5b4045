// descent: rounds a weight to the integers that change a linear's output least, by coordinate descent. Ours, not the
// reference's: it takes the place of gptq where the output of the quantized model is what counts.
//
// With H the second moment of the inputs, W the weight and Q its rounded values, the squared error of the output is
// proportional to (W - Q) H (W - Q)'. First every scale is made smaller than max |w| / qmax where that helps, by a
// search that looks at the diagonal of H alone; then each code in turn goes to the integer that makes the error
// smallest, the others being what they are, pass after pass until none changes. The error never grows, so the result is
// never worse than the rounding it begins with, as far as H tells.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace modelslim {

struct DescentOptions {
  int bits = 4;            // 4 or 8; symmetric
  int64_t group_size = 0;  // 0: one scale per row; else columns per group, which must divide the number of columns
  int passes = 10;         // at most
  float damping = 0.1f;    // share of mean(diag H) added to the diagonal: few tokens tell little of what others bring
};

struct DescentResult {
  Tensor q;             // i8 [out, in]
  Tensor scale;         // [out, groups]: the weight's type per row, f32 per group
  double before = 0.0;  // the error above, summed over rows: of rounding with the same scales,
  double after = 0.0;   // and of the result
  int passes = 0;       // that changed something
};

// weight: [out, in], any model type. hessian: f32 [in, in], symmetric. Sums are f32, in an order that the shapes fix;
// same bytes at any thread count. Throws Error(kMisuse) naming `what` for shapes and options that do not fit.
DescentResult Descend(const ConstView& weight, const ConstView& hessian, const DescentOptions& options,
                      const std::string& what = "weight");

// The most that it holds beside weight and moment; the codes alone stay.
uint64_t DescentBytes(int64_t out, int64_t in);

}  // namespace modelslim
