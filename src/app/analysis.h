// How hard the input of a layer is to quantize, as one number: what `analyze` ranks layers by. Each calibration sample
// is summed up by itself, then the samples are combined. Source: msModelSlim 26.1.0 behaviour.
//
//   std       largest |x| of all samples / largest deviation of a sample. The deviation (n - 1 in the denominator) is
//             that of x minus the middle between minimum and maximum of its channel in that sample.
//   quantile  (2 m / 254) / (Q3 - Q1 + 1e-10) over sampled values, m their largest magnitude. With the n values in
//             order, Q1 is number n / 4 and Q3 number 3 (n / 4), both from 0 and rounded down.
//   kurtosis  mean(z^4) - 3 over sampled values, z = (v - mean) / deviation (n in the denominator).
//
// The sampled values of a sample are numbers 50, 150, 250, ... of its elements in ascending order: one in a hundred.
// Sums are in f64; a 16-bit input is widened, so the last digits printed may differ from a reference that rounds its
// sums to 16 bits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

enum class AnalysisMetric : uint8_t { kStd, kQuantile, kKurtosis };
std::string_view AnalysisMetricName(AnalysisMetric metric);  // "std", "quantile", "kurtosis"
std::optional<AnalysisMetric> ParseAnalysisMetric(std::string_view name);

// What a metric keeps of one sample.
struct InputSummary {
  float abs_max = 0;           // NaN when the sample holds one
  double deviation = 0;        // kStd only; 0 for fewer than two elements
  std::vector<float> sampled;  // kQuantile and kKurtosis only, ascending; empty below 51 elements
};

// x: the rows of one sample, [rows, cols] of f32, bf16 or f16, at least one element. Beside the result it needs 4 bytes
// per element of an f32 input, and about 256 KiB for the other types. Thread-safe.
InputSummary SummarizeInput(AnalysisMetric metric, const ConstView& x);

// The score of a layer over its samples, in their order. Nothing when there is nothing to tell by: no samples, or none
// with a sampled value. NaN when an input holds a NaN. Values that are all equal score -3 by kurtosis; by std, an input
// without deviation scores 0 when it is zero and infinity when not.
std::optional<double> ScoreInput(AnalysisMetric metric, std::span<const std::shared_ptr<const InputSummary>> samples);

}  // namespace modelslim
