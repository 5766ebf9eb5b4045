#include "quant/activations/fa3.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/weights/fp8_rows.h"

namespace modelslim {
namespace {

bool LessNanLast(float a, float b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

}  // namespace

Range RecallWindow(std::span<float> values, double ratio) {
  const int64_t n = static_cast<int64_t>(values.size());
  if (n == 0) return {};
  const int64_t wanted = static_cast<int64_t>(std::trunc(ratio * static_cast<double>(n)));
  const int64_t covered = std::clamp<int64_t>(wanted, 1, n), windows = n - covered + 1;
  // Only the smallest and the largest `windows` values take part, so sort no more than those.
  const auto begin = values.begin(), end = values.end();
  if (2 * windows >= n) {
    std::sort(begin, end, LessNanLast);
  } else {
    std::nth_element(begin, begin + windows, end, LessNanLast);
    std::sort(begin, begin + windows, LessNanLast);
    std::nth_element(begin + windows, end - windows, end, LessNanLast);
    std::sort(end - windows, end, LessNanLast);
  }
  int64_t best = 0;
  double best_width = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < windows; ++i) {
    const double width = static_cast<double>(values[i + covered - 1]) - static_cast<double>(values[i]);
    if (width < best_width) best = i, best_width = width;
  }
  return Range{values[best], values[best + covered - 1]};
}

void HeadRanges::Observe(const ConstView& x) {
  const int64_t heads = static_cast<int64_t>(ranges_.size()), tokens = x.rows();
  MODELSLIM_CHECK(IsModelDType(x.dtype) && heads > 0 && x.cols() % heads == 0);
  if (tokens == 0) return;
  const int64_t dim = x.cols() / heads, cols = x.cols(), size = static_cast<int64_t>(DTypeSize(x.dtype));
  ParallelFor(heads, [&](int64_t head) {
    std::vector<float> values(tokens * dim);
    for (int64_t token = 0; token < tokens; ++token) {
      LoadRun(static_cast<const std::byte*>(x.data) + (token * cols + head * dim) * size, x.dtype, dim,
              values.data() + token * dim);
    }
    ranges_[head] = modelslim::Merge(ranges_[head], RecallWindow(values, ratio_));
  });
  dtype_ = x.dtype;
  seen_ = true;
}

void HeadRanges::Merge(std::span<const Range> other) {
  MODELSLIM_CHECK(other.size() == ranges_.size());
  for (size_t i = 0; i < other.size(); ++i) ranges_[i] = modelslim::Merge(ranges_[i], other[i]);
}

AffineTable HeadRanges::Int8Params() const {
  MODELSLIM_CHECK(seen_);
  AffineTable table{ParamAxis::kRow, dtype_, {}, {}, 0};
  for (const Range& range : ranges_) {
    table.scale.push_back(ParamsFromRange(range.min, range.max, dtype_, IntFormat{8, true}).scale);
  }
  return table;
}

AffineTable HeadRanges::Fp8Params() const {
  MODELSLIM_CHECK(seen_);
  AffineTable table{ParamAxis::kRow, dtype_, {}, {}, 0};
  for (const Range& range : ranges_) {
    const float low = std::fabs(range.min), high = std::fabs(range.max);
    table.scale.push_back(Fp8Scale(std::isnan(low) || low > high ? low : high, dtype_));
  }
  return table;
}

void FakeQuantizeHeads(const ConstView& x, const AffineTable& per_head, bool fp8, const View& out) {
  // Seen as [tokens * heads, dim] each row has the scale of its head; seen as [tokens, heads * dim] each column has.
  const int64_t heads = static_cast<int64_t>(per_head.scale.size());
  MODELSLIM_CHECK(heads > 0 && x.cols() % heads == 0);
  const int64_t dim = x.cols() / heads;
  AffineTable columns{ParamAxis::kColumn, per_head.dtype, {}, {}, 0};
  columns.scale.reserve(x.cols());
  for (int64_t column = 0; column < x.cols(); ++column) {
    columns.scale.push_back(per_head.scale[column / dim]);
    if (!per_head.offset.empty()) columns.offset.push_back(per_head.offset[column / dim]);
  }
  if (fp8) return FakeQuantizeFp8(x, columns, out);
  FakeQuantize(x, columns, IntFormat{8, true}, out);
}

}  // namespace modelslim
