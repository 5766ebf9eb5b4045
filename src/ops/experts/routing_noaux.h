// DeepSeek's router: sigmoid scores, a correction bias that only selects, experts chosen within the best groups.
#pragma once

#include "ops/experts/routing.h"

namespace modelslim {

struct NoauxOptions {
  int64_t groups = 1, top_groups = 1, top_k = 1;
  bool renormalize = true;
  float epsilon = 0;  // added to the sum that divides the weights
  float scale = 1;
};

// logits: f32 [rows, experts]; bias [experts] or null data. s = sigmoid(logits), c = s + bias. A group's score is the
// sum of its two largest c (without a bias: its largest); experts outside of the best groups are out. Weights are s of
// the top_k largest c, divided by their sum where `renormalize`, times scale.
Routing NoauxRouting(const ConstView& logits, const ConstView& bias, const NoauxOptions& options);

}  // namespace modelslim
