#include "quant/activations/activation_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <string>

#include "base/parallel.h"
#include "quant/numbers/range_scan.h"

namespace modelslim {
namespace {

using IntegerCounts = std::array<int64_t, kHistogramBins>;

// The histogram of every sample over `ranges` (empty: none wanted). Counts are integers, so pieces may come in any
// order.
std::vector<HistogramCounts> CountSamples(const ConstView& x, std::span<const int64_t> offsets,
                                          const std::vector<Range>& ranges) {
  const std::vector<SamplePiece> pieces = PiecesOf(x, offsets);
  std::vector<IntegerCounts> counts(ranges.size());
  const std::unique_ptr<std::mutex[]> mutexes = std::make_unique<std::mutex[]>(ranges.size());
  ParallelFor(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const SamplePiece& piece = pieces[i];
    if (ranges[piece.sample].empty()) return;
    IntegerCounts own{};
    CountInto(x.Rows(piece.begin, piece.end), ranges[piece.sample], &own);
    const std::lock_guard lock(mutexes[piece.sample]);
    for (int bin = 0; bin < kHistogramBins; ++bin) counts[piece.sample][bin] += own[bin];
  });
  std::vector<HistogramCounts> result(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    std::transform(counts[i].begin(), counts[i].end(), result[i].begin(),
                   [](int64_t n) { return static_cast<float>(n); });
  }
  return result;
}

float Finite(float bound, DType dtype) {
  const float largest = dtype == DType::kF16 ? 65504.0f : std::numeric_limits<float>::max();
  return std::isinf(bound) ? std::copysign(largest, bound) : bound;
}

bool IsConstant(const Range& range) { return range.min == range.max; }

}  // namespace

std::vector<SampleParams> HistogramParams(const ConstView& x, std::span<const int64_t> offsets, bool symmetric,
                                          Histogram* histogram) {
  const std::vector<Range> ranges = FiniteSampleRanges(x, offsets);
  const size_t samples = ranges.size();
  // Ranges first, so that all samples can be counted at once: the range after sample i needs no counts.
  std::vector<Range> unions(samples);
  Range running = histogram->empty() ? Range{} : Range{histogram->min(), histogram->max()};
  for (size_t i = 0; i < samples; ++i) {
    if (offsets[i] == offsets[i + 1]) continue;
    if (ranges[i].empty()) {
      throw Error(
          ErrorCode::kInvalidDataset,
          "calibration sample " + std::to_string(i) + ": the histogram observer found nothing but NaN and infinities",
          "look for an overflow in the model's forward pass, or use method minmax");
    }
    if (IsConstant(ranges[i])) continue;
    running = unions[i] = Merge(running, ranges[i]);
  }
  const std::vector<HistogramCounts> counts = CountSamples(x, offsets, unions);
  std::vector<Range> limits(samples);
  for (size_t i = 0; i < samples; ++i) {
    if (unions[i].empty()) continue;
    histogram->Fold(unions[i], counts[i]);
    const ClipSearch search = histogram->Search();
    limits[i].min = search.low;
    limits[i].max = search.high;
  }
  const std::vector<Range> clipped = SampleRangesWithin(x, offsets, limits);
  const DType wide = x.dtype == DType::kF16 ? DType::kF16 : DType::kF32;
  std::vector<SampleParams> params(samples);
  for (size_t i = 0; i < samples; ++i) {
    if (offsets[i] == offsets[i + 1]) continue;
    const bool constant = unions[i].empty();
    const Range bounds = constant ? ranges[i] : clipped[i].empty() ? limits[i] : clipped[i];
    const DType dtype = constant ? x.dtype : wide;
    const float low = Finite(bounds.min, dtype), high = Finite(bounds.max, dtype);
    params[i] = {ParamsFromRange(low, high, dtype, IntFormat{8, symmetric}), true, low, high};
  }
  return params;
}

}  // namespace modelslim
