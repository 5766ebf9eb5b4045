// Folding norms into the linears that read them, which is what makes a residual stream free to rotate.
#pragma once

#include <span>
#include <vector>

#include "quant/module_params.h"

namespace modelslim {

struct FuseNormOptions {
  // The reference folds biases only when there are at least two norms and all have one; a single norm's bias is zeroed
  // and lost, which changes the model (an asymmetric smoothing before quarot leaves such a bias). True folds it as
  // well.
  bool fold_single_bias = true;
};

// gamma := concatenation of the norms' weights, in = sum of their sizes. Every linear: W[:, c] *= gamma[c] (f32,
// rounded once); where biases are folded also b += W_before beta. Then gamma := 1, beta := 0. Returns one tensor per
// linear: the bias it now needs and did not have (type of its weight), else an empty Tensor. Throws Error(kMisuse) when
// a shape does not fit.
std::vector<Tensor> FuseNorm(std::span<const NormParams> norms, std::span<const LinearParams> linears,
                             const FuseNormOptions& options = {});

}  // namespace modelslim
