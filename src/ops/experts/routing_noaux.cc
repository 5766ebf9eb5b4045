#include "ops/experts/routing_noaux.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/parallel.h"

namespace modelslim {
namespace {

float GroupScore(const float* scores, int64_t size, bool two) {
  float best = -std::numeric_limits<float>::infinity(), second = best;
  for (int64_t i = 0; i < size; ++i) {
    if (scores[i] > best) {
      second = best;
      best = scores[i];
    } else if (scores[i] > second) {
      second = scores[i];
    }
  }
  return two && size > 1 ? best + second : best;
}

// Minus infinity for every expert outside of the best groups.
void KeepBestGroups(const NoauxOptions& options, bool two, std::vector<float>* scores) {
  if (options.top_groups >= options.groups) return;
  const int64_t size = static_cast<int64_t>(scores->size()) / options.groups;
  std::vector<float> of_groups(static_cast<size_t>(options.groups));
  for (int64_t g = 0; g < options.groups; ++g) of_groups[g] = GroupScore(scores->data() + g * size, size, two);
  std::vector<int32_t> kept(static_cast<size_t>(options.top_groups));
  TopK(of_groups.data(), options.groups, options.top_groups, kept.data());
  for (int64_t g = 0; g < options.groups; ++g) {
    if (std::find(kept.begin(), kept.end(), g) != kept.end()) continue;
    std::fill_n(scores->begin() + g * size, size, -std::numeric_limits<float>::infinity());
  }
}

}  // namespace

Routing NoauxRouting(const ConstView& logits, const ConstView& bias, const NoauxOptions& options) {
  const int64_t rows = logits.rows(), experts = logits.cols();
  Routing routing;
  routing.top_k = options.top_k;
  routing.experts.resize(static_cast<size_t>(rows * options.top_k));
  routing.weights.resize(static_cast<size_t>(rows * options.top_k));
  ParallelRanges(rows, 32, [&](int64_t begin, int64_t end) {
    std::vector<float> plain(static_cast<size_t>(experts)), biased(static_cast<size_t>(experts));
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t e = 0; e < experts; ++e) {
        plain[e] = 1.0f / (1.0f + std::exp(-logits.as<float>()[t * experts + e]));
        biased[e] = bias.data == nullptr ? plain[e] : plain[e] + ElementAsF32(bias, e);
      }
      KeepBestGroups(options, bias.data != nullptr, &biased);
      int32_t* const chosen = routing.experts.data() + t * options.top_k;
      float* const weights = routing.weights.data() + t * options.top_k;
      TopK(biased.data(), experts, options.top_k, chosen);
      float sum = options.epsilon;
      for (int64_t i = 0; i < options.top_k; ++i) sum += weights[i] = plain[chosen[i]];
      for (int64_t i = 0; i < options.top_k; ++i) {
        weights[i] = (options.renormalize ? weights[i] / sum : weights[i]) * options.scale;
      }
    }
  });
  return routing;
}

}  // namespace modelslim
