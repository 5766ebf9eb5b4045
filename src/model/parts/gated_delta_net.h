// The linear attention layer of Qwen3-Next: projections, convolution, gated delta rule, gated norm.
#pragma once

#include "model/block.h"
#include "ops/attention/gated_delta.h"

namespace modelslim {

// The layer below "linear_attn" of a block. x [rows, hidden].
struct GatedDeltaNetOptions {
  GatedDeltaShape shape;
  double eps = 1e-6;
};
Tensor GatedDeltaNet(const GatedDeltaNetOptions& options, Block& block, const ForwardContext& context,
                     const ConstView& x);

}  // namespace modelslim
