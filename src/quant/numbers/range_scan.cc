#include "quant/numbers/range_scan.h"

#include <algorithm>
#include <limits>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

MODELSLIM_MULTIVERSION Range RangeWithin(const float* values, int64_t n, float low, float high) {
  float min = std::numeric_limits<float>::infinity(), max = -min;
#pragma omp simd reduction(min : min) reduction(max : max)
  for (int64_t i = 0; i < n; ++i) {
    const float v = values[i];
    const bool inside = (v >= low) & (v <= high);
    min = inside & (v < min) ? v : min;
    max = inside & (v > max) ? v : max;
  }
  return Range{min, max};
}

// Combines piece results in order; minima and maxima do not care, so pieces may be of any size.
template <class Of>
std::vector<Range> Reduce(const ConstView& x, std::span<const int64_t> offsets, const Of& of) {
  const std::vector<SamplePiece> pieces = PiecesOf(x, offsets);
  std::vector<Range> partial(pieces.size()), ranges(offsets.size() - 1);
  ParallelFor(static_cast<int64_t>(pieces.size()), [&](int64_t i) { partial[i] = of(pieces[i]); });
  for (size_t i = 0; i < pieces.size(); ++i) {
    Range& range = ranges[pieces[i].sample];
    range = Merge(range, partial[i]);
  }
  return ranges;
}

Range PieceWithin(const ConstView& x, const SamplePiece& piece, const Range& limits) {
  const int64_t cols = x.cols(), size = static_cast<int64_t>(DTypeSize(x.dtype));
  Range range;
  float values[kAffineRun];
  for (int64_t at = piece.begin * cols; at < piece.end * cols; at += kAffineRun) {
    const int64_t n = std::min(kAffineRun, piece.end * cols - at);
    LoadRun(static_cast<const std::byte*>(x.data) + at * size, x.dtype, n, values);
    range = Merge(range, RangeWithin(values, n, limits.min, limits.max));
  }
  return range;
}

}  // namespace

void CheckOffsets(const ConstView& x, std::span<const int64_t> offsets) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && !offsets.empty() && offsets.front() >= 0);
  for (size_t i = 1; i < offsets.size(); ++i) MODELSLIM_CHECK(offsets[i - 1] <= offsets[i]);
  MODELSLIM_CHECK(offsets.back() <= x.rows() || offsets.front() == offsets.back());
}

std::vector<SamplePiece> PiecesOf(const ConstView& x, std::span<const int64_t> offsets) {
  const int64_t step = std::max<int64_t>(1, 65536 / std::max<int64_t>(1, x.cols()));
  std::vector<SamplePiece> pieces;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    for (int64_t begin = offsets[i]; begin < offsets[i + 1]; begin += step) {
      pieces.push_back({static_cast<int64_t>(i), begin, std::min(begin + step, offsets[i + 1])});
    }
  }
  return pieces;
}

std::vector<Range> SampleRanges(const ConstView& x, std::span<const int64_t> offsets) {
  return Reduce(x, offsets, [&](const SamplePiece& piece) { return RangeOf(x.Rows(piece.begin, piece.end)); });
}

std::vector<Range> FiniteSampleRanges(const ConstView& x, std::span<const int64_t> offsets) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  return Reduce(x, offsets, [&](const SamplePiece& piece) {
    return PieceWithin(x, piece, Range{-kLargest, kLargest});
  });
}

std::vector<Range> SampleRangesWithin(const ConstView& x, std::span<const int64_t> offsets,
                                      std::span<const Range> limits) {
  return Reduce(x, offsets, [&](const SamplePiece& piece) { return PieceWithin(x, piece, limits[piece.sample]); });
}

std::vector<ColumnRanges> SampleColumnRanges(const ConstView& x, std::span<const int64_t> offsets) {
  const int64_t samples = static_cast<int64_t>(offsets.size()) - 1, cols = x.cols();
  const int64_t runs = (cols + kAffineRun - 1) / kAffineRun;
  const Range none;
  std::vector<ColumnRanges> ranges(samples);
  for (ColumnRanges& range : ranges) range.min.assign(cols, none.min), range.max.assign(cols, none.max);
  ParallelFor(samples * runs, [&](int64_t i) {
    const int64_t sample = i / runs, begin = i % runs * kAffineRun;
    const ConstView rows = x.Rows(offsets[sample], offsets[sample + 1]);
    WidenColumnRun(rows, begin, ranges[sample].min.data() + begin, ranges[sample].max.data() + begin);
  });
  return ranges;
}

}  // namespace modelslim
