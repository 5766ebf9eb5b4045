#include "ops/experts/routing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "ops/elementwise.h"

namespace modelslim {
namespace {

constexpr int64_t kRowGrain = 64;

}  // namespace

void TopK(const float* scores, int64_t count, int64_t k, int32_t* out) {
  using Entry = std::pair<float, int32_t>;
  const auto better = [](const Entry& a, const Entry& b) {
    return (std::isnan(a.first) && !std::isnan(b.first)) || a.first > b.first;
  };
  std::vector<Entry> queue(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) queue[i] = {scores[i], static_cast<int32_t>(i)};
  if (k * 64 <= count) {
    std::partial_sort(queue.begin(), queue.begin() + k, queue.end(), better);
  } else {
    std::nth_element(queue.begin(), queue.begin() + k - 1, queue.end(), better);
    std::sort(queue.begin(), queue.begin() + k - 1, better);
  }
  for (int64_t i = 0; i < k; ++i) out[i] = queue[i].second;
}

Routing SoftmaxRouting(const ConstView& logits, int64_t top_k, bool renormalize, DType dtype) {
  const int64_t rows = logits.rows(), experts = logits.cols();
  Tensor probabilities(DType::kF32, {rows, experts});
  SoftmaxRows(logits, probabilities.view());
  Routing routing;
  routing.top_k = top_k;
  routing.experts.resize(static_cast<size_t>(rows * top_k));
  routing.weights.resize(static_cast<size_t>(rows * top_k));
  const float* const values = std::as_const(probabilities).as<float>();
  ParallelRanges(rows, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int32_t* const chosen = routing.experts.data() + t * top_k;
      float* const weights = routing.weights.data() + t * top_k;
      TopK(values + t * experts, experts, top_k, chosen);
      float sum = 0;
      for (int64_t i = 0; i < top_k; ++i) sum += weights[i] = values[t * experts + chosen[i]];
      for (int64_t i = 0; i < top_k; ++i) weights[i] = RoundTo(dtype, renormalize ? weights[i] / sum : weights[i]);
    }
  });
  return routing;
}

}  // namespace modelslim
