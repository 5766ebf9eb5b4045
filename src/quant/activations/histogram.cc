#include "quant/activations/histogram.h"

#include <algorithm>
#include <cmath>

#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

constexpr int kBins = kHistogramBins, kLevels = 256, kUpsampling = 16;
constexpr double kStep = 1e-5;

// Element i of n values from a to b: from the nearer end, each operation rounded to f32.
float Linspace(float a, float b, int n, int i) {
  const float step = (b - a) / static_cast<float>(n - 1);
  return i < n / 2 ? a + step * static_cast<float>(i) : b - step * static_cast<float>(n - 1 - i);
}

// Floor division of the framework: exact remainder first, then the quotient snapped to the nearest integer below.
MODELSLIM_INLINE float FloorDivide(float a, float b) {
  float mod = std::fmod(a, b), quotient = (a - mod) / b;
  if (mod != 0.0f && (mod < 0.0f) != (b < 0.0f)) quotient -= 1.0f;
  if (quotient == 0.0f) return 0.0f;
  const float floor = std::floor(quotient);
  return quotient - floor > 0.5f ? floor + 1.0f : floor;
}

// Squared error of a uniform density between a and b.
MODELSLIM_INLINE float Moment(float a, float b, float density) {
  return density * (((b * b) * b - (a * a) * a) / 3.0f);
}

// Rounded to f32 once: what the order of an f32 summation does not decide. Only near ties of the search could tell.
float Sum(const std::array<float, kBins>& values) {
  double total = 0.0;
  for (const float value : values) total += static_cast<double>(value);
  return static_cast<float>(total);
}

MODELSLIM_MULTIVERSION void BinsOf(const float* values, int64_t n, float low, float high, int32_t* bins) {
  const float width = high - low;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float v = values[i];
    const bool inside = (v >= low) & (v <= high);
    const float position = ((inside ? v : low) - low) * static_cast<float>(kBins) / width;
    const int32_t bin =
        static_cast<int32_t>(position < static_cast<float>(kBins - 1) ? position : static_cast<float>(kBins - 1));
    bins[i] = inside ? bin : kBins;
  }
}

}  // namespace

void CountInto(const ConstView& x, const Range& range, std::array<int64_t, kHistogramBins>* counts) {
  const int64_t size = x.size(), step = static_cast<int64_t>(DTypeSize(x.dtype));
  float values[kAffineRun];
  int32_t bins[kAffineRun];
  std::array<int64_t, kBins + 1> own{};  // the last one takes what lies outside
  for (int64_t begin = 0; begin < size; begin += kAffineRun) {
    const int64_t n = std::min(kAffineRun, size - begin);
    LoadRun(static_cast<const std::byte*>(x.data) + begin * step, x.dtype, n, values);
    BinsOf(values, n, range.min, range.max, bins);
    for (int64_t i = 0; i < n; ++i) ++own[bins[i]];
  }
  for (int i = 0; i < kBins; ++i) (*counts)[i] += own[i];
}

Range Histogram::Union(float min, float max) const {
  Range range;
  range.min = started_ ? std::min(min_, min) : min;
  range.max = started_ ? std::max(max_, max) : max;
  return range;
}

void Histogram::Fold(const Range& range, const HistogramCounts& batch) {
  const bool same = started_ && range.min == min_ && range.max == max_;
  if (!started_ || same) {
    for (int i = 0; i < kBins; ++i) counts_[i] += batch[i];
  } else {
    // Every old bin in 16 equal parts, each to the new bin that holds its middle.
    constexpr int kParts = kBins * kUpsampling;
    const float half = 0.5f * (max_ - min_) / static_cast<float>(kParts);
    std::array<float, kBins + 1> edges;
    for (int i = 0; i <= kBins; ++i) edges[i] = Linspace(range.min, range.max, kBins + 1, i);
    HistogramCounts moved{};
    int bin = 0;
    for (int part = 0; part < kParts; ++part) {
      const float middle = Linspace(min_, max_, kParts + 1, part) + half;
      while (bin < kBins && edges[bin + 1] <= middle) ++bin;  // middles ascend
      moved[std::min(bin, kBins - 1)] += counts_[part / kUpsampling] / static_cast<float>(kUpsampling);
    }
    for (int i = 0; i < kBins; ++i) counts_[i] = batch[i] + moved[i];
  }
  started_ = true;
  min_ = range.min;
  max_ = range.max;
}

double Histogram::Error(int first, int last) const {
  const double wide_bin = static_cast<double>(max_) / kBins - static_cast<double>(min_) / kBins;
  const double wide_step = wide_bin * (last - first + 1) / kLevels;
  if (wide_step == 0.0) return 0.0;
  const float bin = static_cast<float>(wide_bin), step = static_cast<float>(wide_step);
  const float half = static_cast<float>(wide_step / 2.0);
  std::array<float, kBins> norms;
  for (int i = 0; i < kBins; ++i) {
    const float begin = static_cast<float>(i - first) * bin, end = begin + bin, density = counts_[i] / bin;
    const float level_begin = std::clamp(FloorDivide(begin, step), 0.0f, static_cast<float>(kLevels - 1));
    const float level_end = std::clamp(FloorDivide(end, step), 0.0f, static_cast<float>(kLevels - 1));
    float norm = Moment(begin - (level_begin + 0.5f) * step, half, density);
    norm += (level_end - level_begin - 1.0f) * Moment(-half, half, density);
    norm += Moment(-half, end - (level_end * step + half), density);
    norms[i] = norm;
  }
  return Sum(norms);
}

ClipSearch Histogram::Search() const {
  ClipSearch best{0, kBins - 1, 0.0, min_, max_};
  float sum = 0.0f;
  std::array<float, kBins> cumulative;
  for (int i = 0; i < kBins; ++i) cumulative[i] = sum += counts_[i];
  const double total = Sum(counts_);
  if (total == 0.0) return best;
  best.error = Error(0, kBins - 1);
  double alpha = 0.0, beta = 1.0;
  int first = 0, last = kBins - 1;
  while (alpha < beta) {
    const double next_alpha = alpha + kStep, next_beta = beta - kStep;
    const float from = static_cast<float>(next_alpha * total), to = static_cast<float>(next_beta * total);
    const auto begin = cumulative.begin();
    const int left = static_cast<int>(std::lower_bound(begin + first, begin + last, from) - begin);
    const int above = static_cast<int>(std::upper_bound(begin + first, begin + last + 1, to) - begin);
    const int right = std::max(first, above - 1);
    int next_first = first, next_last = last;
    // The two updates are crossed in the reference: kept.
    if (right - first > last - left) {
      next_last = left;
      beta = next_beta;
    } else {
      next_first = right;
      alpha = next_alpha;
    }
    if (next_first == first && next_last == last) continue;
    const double error = Error(next_first, next_last);
    if (error > best.error) break;
    best.error = error;
    first = next_first;
    last = next_last;
  }
  best.first_bin = first;
  best.last_bin = last;
  const float bins = static_cast<float>(kBins), bin = max_ / bins - min_ / bins, end = static_cast<float>(last + 1);
  best.low = min_ + bin * static_cast<float>(first);
  best.high = end * (min_ / end + bin);
  return best;
}

}  // namespace modelslim
