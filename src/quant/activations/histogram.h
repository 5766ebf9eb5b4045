// The histogram range search of static int8 activations: 2048 bins over everything seen, a search for the part of the
// range with the smallest quantization error, then the extremes of the current sample inside it. The search is the
// reference's, crossed updates included (it usually stops at once): its results are the contract.
#pragma once

#include <array>
#include <cstdint>

#include "quant/numbers/affine.h"

namespace modelslim {

inline constexpr int kHistogramBins = 2048;
using HistogramCounts = std::array<float, kHistogramBins>;

struct ClipSearch {
  int first_bin = 0, last_bin = kHistogramBins - 1;
  double error = 0.0;
  float low = 0.0f, high = 0.0f;
};

class Histogram {
 public:
  bool empty() const { return !started_; }
  float min() const { return min_; }
  float max() const { return max_; }
  const HistogramCounts& counts() const { return counts_; }

  // The range the histogram will have after a batch with range [min, max].
  Range Union(float min, float max) const;
  // Adds a batch whose histogram over exactly `range` (= Union of the batch's own) is `batch`.
  void Fold(const Range& range, const HistogramCounts& batch);
  ClipSearch Search() const;
  // L2 error of keeping bins first..last and mapping them onto 256 levels.
  double Error(int first, int last) const;

 private:
  bool started_ = false;
  float min_ = 0.0f, max_ = 0.0f;
  HistogramCounts counts_{};
};

// Adds to counts the elements of x [any shape] that lie in range; NaN and infinities are skipped. Single-threaded.
void CountInto(const ConstView& x, const Range& range, std::array<int64_t, kHistogramBins>* counts);

}  // namespace modelslim
