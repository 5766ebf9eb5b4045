#include "quant/weights/weight_error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "kernels/multiversion.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"

namespace modelslim {
namespace {

// Sums go side by side in lanes, so that no addition waits for the one before it.
constexpr int64_t kLanes = 16;
struct LaneSums {
  double signal[kLanes] = {}, noise[kLanes] = {}, largest[kLanes] = {};
  double not_finite[kLanes] = {};  // a count
};

// The columns [0, n / kLanes * kLanes) of a row.
MODELSLIM_MULTIVERSION void AddLanes(const float* a, const float* b, int64_t n, LaneSums* sums) {
  LaneSums now = *sums;
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = a[i + lane], difference = value - static_cast<double>(b[i + lane]);
      const double nothing = difference - difference;  // 0 where it is finite
      const double kept = nothing == 0.0 ? value : 0.0, error = nothing == 0.0 ? difference : 0.0;
      const double magnitude = error < 0.0 ? -error : error;
      now.signal[lane] += kept * kept;
      now.noise[lane] += error * error;
      now.largest[lane] = magnitude > now.largest[lane] ? magnitude : now.largest[lane];
      now.not_finite[lane] += nothing == 0.0 ? 0.0 : 1.0;
    }
  }
  *sums = now;
}

// Of one row; lanes and rows are added up in order, so the result depends neither on the threads nor on the machine.
WeightError RowError(const float* a, const float* b, int64_t n) {
  LaneSums sums;
  AddLanes(a, b, n, &sums);
  if (const int64_t rest = n % kLanes; rest > 0) {
    float left[kLanes] = {}, right[kLanes] = {};
    std::copy_n(a + n - rest, rest, left);
    std::copy_n(b + n - rest, rest, right);
    AddLanes(left, right, kLanes, &sums);
  }
  WeightError error;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    error.signal += sums.signal[lane];
    error.noise += sums.noise[lane];
    error.max_abs = std::max(error.max_abs, sums.largest[lane]);
    error.not_finite += static_cast<int64_t>(sums.not_finite[lane]);
  }
  error.count = n;
  return error;
}

template <class Extra>
WeightError CompareRows(const ConstView& a, const ConstView& b, const Extra& extra) {
  MODELSLIM_CHECK(a.size() == b.size());
  const int64_t rows = a.rows(), cols = a.cols();
  const int64_t a_size = static_cast<int64_t>(DTypeSize(a.dtype)), b_size = static_cast<int64_t>(DTypeSize(b.dtype));
  std::vector<WeightError> errors(rows);
  ParallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    std::vector<float> left(cols), right(cols);
    for (int64_t row = begin; row < end; ++row) {
      LoadRun(static_cast<const std::byte*>(a.data) + row * cols * a_size, a.dtype, cols, left.data());
      LoadRun(static_cast<const std::byte*>(b.data) + row * cols * b_size, b.dtype, cols, right.data());
      errors[row] = RowError(left.data(), right.data(), cols);
      errors[row].clipped = extra(row, left.data(), right.data());
    }
  });
  WeightError total;
  for (const WeightError& error : errors) total.Add(error);
  return total;
}

// Few codes do, so most runs of them are passed over at once.
constexpr int64_t kRun = 64;
MODELSLIM_MULTIVERSION bool ReachesAnEnd(const int8_t* codes, int8_t top) {
  const auto bottom = static_cast<int8_t>(-top - 1);
  int8_t any = 0;
  for (int64_t i = 0; i < kRun; ++i) any |= static_cast<int8_t>((codes[i] >= top) | (codes[i] <= bottom));
  return any != 0;
}

// Integer codes at an end of their range, or largest elements, whose value lies more than half a step further out.
int64_t ClippedInRow(const QuantizedWeight& weight, int64_t row, const float* values, const float* back) {
  const int64_t cols = weight.codes.view().cols();
  int64_t clipped = 0;
  if (weight.format == ElementFormat::kInt8 || weight.format == ElementFormat::kInt4) {
    const int top = weight.format == ElementFormat::kInt4 ? 7 : 127;
    const int8_t* codes = weight.codes.as<int8_t>() + row * cols;
    const int64_t groups = weight.scale.size() / std::max<int64_t>(1, weight.codes.view().rows());
    for (int64_t i = 0; i < cols; ++i) {
      if (i % kRun == 0 && i + kRun <= cols && !ReachesAnEnd(codes + i, static_cast<int8_t>(top))) {
        i += kRun - 1;
        continue;
      }
      if (codes[i] < top && codes[i] > -top - 1) continue;
      const int64_t group = weight.group_size > 0 ? i / weight.group_size : 0;
      const float scale = ElementAsF32(weight.scale.view(), row * groups + group);
      // The slack is the rounding of a bf16 quotient, which is no clipping.
      clipped += std::fabs(values[i] - back[i]) > 0.51f * std::fabs(scale) + std::fabs(values[i]) * 0x1p-8f ? 1 : 0;
    }
    return clipped;
  }
  const bool fp4 = weight.format == ElementFormat::kMxFp4, mx = weight.format != ElementFormat::kFp8E4M3;
  const uint8_t top = fp4 ? 7 : 0x7e;
  const float half_step = fp4 ? 1.0f / 6.0f : 16.0f / 448.0f;  // relative to the largest element
  const uint8_t* codes = weight.codes.as<uint8_t>() + row * cols;
  for (int64_t i = 0; i < cols; ++i) {
    if ((codes[i] & (fp4 ? 7 : 0x7f)) != top) continue;
    const float beyond = std::fabs(values[i]) - std::fabs(back[i]);
    clipped += beyond > (mx ? 1.0f : 0.5f) * half_step * std::fabs(back[i]) * 1.0001f ? 1 : 0;
  }
  return clipped;
}

}  // namespace

double WeightError::relative() const {
  if (noise == 0.0) return 0.0;
  return signal == 0.0 ? std::numeric_limits<double>::infinity() : std::sqrt(noise / signal);
}

void WeightError::Add(const WeightError& other) {
  if (other.count > 0 && other.scale_max > 0.0) {
    scale_min = scale_max == 0.0 ? other.scale_min : std::min(scale_min, other.scale_min);
    scale_max = std::max(scale_max, other.scale_max);
  }
  signal += other.signal;
  noise += other.noise;
  max_abs = std::max(max_abs, other.max_abs);
  count += other.count;
  clipped += other.clipped;
  not_finite += other.not_finite;
}

WeightError Compare(const ConstView& a, const ConstView& b) {
  return CompareRows(a, b, [](int64_t, const float*, const float*) { return int64_t{0}; });
}

WeightError Compare(const ConstView& w, const QuantizedWeight& quantized) {
  const Tensor back = Dequantize(quantized, quantized.source_dtype);
  WeightError error = CompareRows(w, back.view(), [&](int64_t row, const float* values, const float* reconstructed) {
    return ClippedInRow(quantized, row, values, reconstructed);
  });
  const int64_t count = quantized.scale.size();
  for (int64_t i = 0; i < count; ++i) {
    const double scale = quantized.scale.dtype() == DType::kU8 ? std::ldexp(1.0, quantized.scale.as<uint8_t>()[i] - 127)
                                                               : std::fabs(ElementAsF32(quantized.scale.view(), i));
    error.scale_min = i == 0 ? scale : std::min(error.scale_min, scale);
    error.scale_max = i == 0 ? scale : std::max(error.scale_max, scale);
  }
  return error;
}

}  // namespace modelslim
