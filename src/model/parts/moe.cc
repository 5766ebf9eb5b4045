#include "model/parts/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace modelslim {
namespace {

constexpr int64_t kRowGrain = 64;

// The rows of every expert in ascending order, one expert after another.
struct Dispatch {
  std::vector<int64_t> begin;  // [experts + 1]
  std::vector<int64_t> rows;
  std::vector<float> weights;

  std::vector<int64_t> Counts() const {
    std::vector<int64_t> counts(begin.size());
    std::adjacent_difference(begin.begin(), begin.end(), counts.begin());
    counts.erase(counts.begin());
    return counts;
  }
};

Dispatch Sort(const Routing& routing, int64_t experts) {
  Dispatch dispatch;
  dispatch.begin.assign(static_cast<size_t>(experts) + 1, 0);
  for (const int32_t expert : routing.experts) ++dispatch.begin[expert + 1];
  for (int64_t e = 0; e < experts; ++e) dispatch.begin[e + 1] += dispatch.begin[e];
  dispatch.rows.resize(routing.experts.size());
  dispatch.weights.resize(routing.experts.size());
  std::vector<int64_t> next(dispatch.begin.begin(), dispatch.begin.end() - 1);
  for (size_t i = 0; i < routing.experts.size(); ++i) {
    const int64_t place = next[routing.experts[i]]++;
    dispatch.rows[place] = static_cast<int64_t>(i) / routing.top_k;
    dispatch.weights[place] = routing.weights[i];
  }
  return dispatch;
}

// Offsets of the samples within an ascending list of rows.
std::vector<int64_t> SampleOffsets(std::span<const int64_t> rows, const RowGroups& groups) {
  std::vector<int64_t> offsets(groups.offsets.size());
  for (size_t s = 0; s < offsets.size(); ++s) {
    offsets[s] = std::lower_bound(rows.begin(), rows.end(), groups.offsets[s]) - rows.begin();
  }
  return offsets;
}

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

void ForwardExperts(const Block& block, const Routing& routing, int64_t experts, const ConstView& x,
                    const ForwardContext& context, const UnitForward& unit, const View& y) {
  const Dispatch dispatch = Sort(routing, experts);
  if (context.experts != nullptr) {
    context.experts->Observe(block.name() + ".mlp.experts", dispatch.Counts(), x, context.groups);
  }
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t begin = dispatch.begin[e], count = dispatch.begin[e + 1] - begin;
    if (count == 0) continue;
    const std::span<const int64_t> rows(dispatch.rows.data() + begin, static_cast<size_t>(count));
    Tensor gathered(x.dtype, {count, x.cols()});
    GatherRows(x, rows, gathered.view());
    const std::vector<int64_t> offsets = SampleOffsets(rows, context.groups);
    Tensor result = unit("mlp.experts." + std::to_string(e), std::as_const(gathered).view(),
                         {offsets, context.groups.first_sample});
    if (const DType wide = Promote(result.dtype(), y.dtype); wide != result.dtype()) {
      result = ConvertTo(std::as_const(result).view(), wide);
    }
    ScatterAddRows(std::as_const(result).view(), rows, {dispatch.weights.data() + begin, DType::kF32, {count}}, y);
  }
}

}  // namespace modelslim
