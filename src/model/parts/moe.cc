#include "model/parts/moe.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace modelslim {
namespace {

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
                         {offsets, context.groups.first_sample, context.groups.watch});
    if (const DType wide = Promote(result.dtype(), y.dtype); wide != result.dtype()) {
      result = ConvertTo(std::as_const(result).view(), wide);
    }
    ScatterAddRows(std::as_const(result).view(), rows, {dispatch.weights.data() + begin, DType::kF32, {count}}, y);
  }
}

}  // namespace modelslim
