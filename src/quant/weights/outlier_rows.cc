#include "quant/weights/outlier_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "quant/numbers/affine.h"
#include "quant/numbers/affine_kernels.h"

namespace modelslim {
namespace {

constexpr double kSigmas = 3.0;
constexpr int64_t kRowsAtOnce = 16;
constexpr int kHalf = 16, kBins = 1 << kHalf;

using Counts = std::vector<int64_t>;

int64_t CountOf(double fraction, int64_t elements) {
  return std::max<int64_t>(1, static_cast<int64_t>(fraction * static_cast<double>(elements)));
}

// Magnitudes of row `row` as f32.
void LoadMagnitudes(const ConstView& w, int64_t row, std::vector<float>* out) {
  out->resize(static_cast<size_t>(w.cols()));
  LoadRun(static_cast<const std::byte*>(w.data) + row * w.cols() * static_cast<int64_t>(DTypeSize(w.dtype)), w.dtype,
          w.cols(), out->data());
  for (float& value : *out) value = std::fabs(value);
}

// How many magnitudes have each value of `bin_of`, which may leave some out (-1). Counts add up in any order.
Counts CountMagnitudes(const ConstView& w, const std::function<int(uint32_t)>& bin_of) {
  Counts counts(kBins, 0);
  std::mutex mutex;
  ParallelRanges(w.rows(), std::max<int64_t>(kRowsAtOnce, w.rows() / 64 + 1), [&](int64_t begin, int64_t end) {
    Counts own(kBins, 0);
    std::vector<float> row;
    for (int64_t r = begin; r < end; ++r) {
      LoadMagnitudes(w, r, &row);
      for (const float value : row) {
        if (const int bin = bin_of(std::bit_cast<uint32_t>(value)); bin >= 0) ++own[static_cast<size_t>(bin)];
      }
    }
    const std::lock_guard lock(mutex);
    for (int bin = 0; bin < kBins; ++bin) counts[bin] += own[bin];
  });
  return counts;
}

// The bin that holds the k-th from the top; `k` becomes its rank inside the bin.
int BinOfRank(const Counts& counts, int64_t* k) {
  int bin = kBins - 1;
  while (bin > 0 && counts[bin] < *k) *k -= counts[bin--];
  return bin;
}

// The k-th largest magnitude of the matrix, found by its bits: upper half first, then the lower half among those that
// share it.
float LargestOfMatrix(const ConstView& w, int64_t k) {
  const int high = BinOfRank(CountMagnitudes(w, [](uint32_t bits) { return static_cast<int>(bits >> kHalf); }), &k);
  const auto low_of = [&](uint32_t bits) {
    return static_cast<int>(bits >> kHalf) == high ? static_cast<int>(bits & (kBins - 1)) : -1;
  };
  const int low = BinOfRank(CountMagnitudes(w, low_of), &k);
  return std::bit_cast<float>(static_cast<uint32_t>(high) << kHalf | static_cast<uint32_t>(low));
}

float LargestUpTo(const std::vector<float>& magnitudes, double limit) {
  float largest = 0;
  for (const float value : magnitudes) {
    if (std::isnan(value)) return value;
    if (value <= limit && value > largest) largest = value;
  }
  return largest;
}

double SigmaLimit(const std::vector<float>& magnitudes) {
  const auto count = static_cast<double>(magnitudes.size());
  if (count < 2) return HUGE_VAL;
  double sum = 0, squares = 0;
  for (const float value : magnitudes) sum += value;
  const double mean = sum / count;
  for (const float value : magnitudes) squares += (value - mean) * (value - mean);
  return kSigmas * std::sqrt(squares / (count - 1));
}

float LargestOfRow(const std::vector<float>& magnitudes, double fraction) {
  std::vector<float> sorted = magnitudes;
  const int64_t k =
      std::min(CountOf(fraction, static_cast<int64_t>(sorted.size())), static_cast<int64_t>(sorted.size()));
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  return sorted[static_cast<size_t>(k - 1)];
}

}  // namespace

std::vector<float> OutlierScales(const ConstView& w, const WeightSpec& spec) {
  const int64_t rows = w.rows();
  std::vector<float> scales(static_cast<size_t>(rows));
  if (w.size() == 0) return scales;
  float matrix_limit = 0;
  if (spec.method == WeightMethod::kOutliersOfMatrix) {
    matrix_limit = LargestOfMatrix(w, std::min(CountOf(spec.outlier_fraction, w.size()), w.size()));
  }
  ParallelRanges(rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
    std::vector<float> magnitudes;
    for (int64_t row = begin; row < end; ++row) {
      LoadMagnitudes(w, row, &magnitudes);
      double limit = matrix_limit;
      if (spec.method == WeightMethod::kOutliersOfRow) limit = LargestOfRow(magnitudes, spec.outlier_fraction);
      if (spec.method == WeightMethod::kOutliersBySigma) limit = SigmaLimit(magnitudes);
      const float largest = LargestUpTo(magnitudes, limit);
      scales[static_cast<size_t>(row)] = ParamsFromRange(-largest, largest, w.dtype, IntFormat{4, true}).scale;
    }
  });
  return scales;
}

}  // namespace modelslim
