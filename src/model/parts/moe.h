// Mixture-of-experts dispatch: which rows go to which expert, and bringing them back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/block.h"

namespace modelslim {

// top_k experts of every row, best first, with their weights.
struct Routing {
  int64_t top_k = 0;
  std::vector<int32_t> experts;  // [rows * top_k]
  std::vector<float> weights;    // [rows * top_k]
};

// The k largest of `scores` [count], best first (1 <= k <= count); NaN counts as the largest. Of equal ones it takes
// those that torch.topk takes on a CPU, whose steps it follows with the same library functions: with bf16 logits equal
// scores are common enough to decide which expert a token goes to.
void TopK(const float* scores, int64_t count, int64_t k, int32_t* out);

// Softmax over the experts in f32, the k largest, divided by their sum when `renormalize`; each weight is then rounded
// to `dtype`. logits [rows, experts].
Routing SoftmaxRouting(const ConstView& logits, int64_t top_k, bool renormalize, DType dtype);

// A gated unit by its name inside the block ("mlp.experts.4").
using UnitForward = std::function<Tensor(const std::string& prefix, const ConstView& x, const RowGroups& groups)>;

// Runs every expert that was chosen at least once, in ascending order, on its rows (in token order, grouped by sample):
// y[row] += weight * unit("mlp.experts.E", rows of x, their groups), rounded as ScatterAddRows() does. y [rows, width]
// holds what to add to; results of a narrower type are widened to its type first. Experts without rows are not called.
void ForwardExperts(const Block& block, const Routing& routing, int64_t experts, const ConstView& x,
                    const ForwardContext& context, const UnitForward& unit, const View& y);

}  // namespace modelslim
