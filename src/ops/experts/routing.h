// Which experts the rows of a batch go to.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

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

}  // namespace modelslim
