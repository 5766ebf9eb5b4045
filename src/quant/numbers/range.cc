// Minima and maxima. Floats of 16 and 32 bits are compared as integers of their own width: flipping the low bits of
// negative ones makes the order the same, and a NaN is whatever lies above infinity.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/numbers/affine.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/range_scan.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

struct Extremes {
  int32_t lowest, highest;     // ordered keys
  uint32_t largest_magnitude;  // bits without the sign
};

template <class U, class S>
MODELSLIM_INLINE Extremes ExtremesOf(const U* x, int64_t n) {
  constexpr U kMagnitude = static_cast<U>(std::numeric_limits<S>::max());
  S lowest = std::numeric_limits<S>::max(), highest = std::numeric_limits<S>::min();
  U magnitude = 0;
#pragma omp simd reduction(min : lowest) reduction(max : highest, magnitude)
  for (int64_t i = 0; i < n; ++i) {
    const U bits = x[i], rest = static_cast<U>(bits & kMagnitude);
    const S key = static_cast<S>(bits ^ static_cast<U>(static_cast<S>(bits) < 0 ? kMagnitude : U{0}));
    lowest = key < lowest ? key : lowest;
    highest = key > highest ? key : highest;
    magnitude = rest > magnitude ? rest : magnitude;
  }
  return {lowest, highest, magnitude};
}

MODELSLIM_MULTIVERSION Extremes Extremes16(const uint16_t* x, int64_t n) { return ExtremesOf<uint16_t, int16_t>(x, n); }
MODELSLIM_MULTIVERSION Extremes Extremes32(const uint32_t* x, int64_t n) { return ExtremesOf<uint32_t, int32_t>(x, n); }

MODELSLIM_MULTIVERSION void WidenColumns(const float* row, int64_t n, float* min, float* max) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float v = row[i];
    min[i] = (v < min[i]) | (v != v) ? v : min[i];
    max[i] = (v > max[i]) | (v != v) ? v : max[i];
  }
}

uint32_t FromKey(int32_t key, uint32_t magnitude_mask) {
  return static_cast<uint32_t>(key) ^ (key < 0 ? magnitude_mask : 0u);
}

}  // namespace

Range RangeOf(const ConstView& x) {
  MODELSLIM_CHECK(IsModelDType(x.dtype));
  const int64_t n = x.size();
  if (n == 0) return {};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (x.dtype == DType::kF32) {
    const Extremes e = Extremes32(static_cast<const uint32_t*>(x.data), n);
    if (e.largest_magnitude > 0x7f800000u) return {nan, nan};
    return {std::bit_cast<float>(FromKey(e.lowest, 0x7fffffffu)),
            std::bit_cast<float>(FromKey(e.highest, 0x7fffffffu))};
  }
  const Extremes e = Extremes16(static_cast<const uint16_t*>(x.data), n);
  if (e.largest_magnitude > (x.dtype == DType::kBF16 ? 0x7f80u : 0x7c00u)) return {nan, nan};
  const auto value = [&](int32_t key) {
    const uint16_t bits = static_cast<uint16_t>(FromKey(key, 0x7fffu));
    return x.dtype == DType::kBF16 ? ToF32(BF16{bits}) : ToF32(F16{bits});
  };
  return {value(e.lowest), value(e.highest)};
}

Range Merge(const Range& a, const Range& b) {
  Range merged;
  merged.min = std::isnan(a.min) || a.min < b.min ? a.min : b.min;
  merged.max = std::isnan(a.max) || a.max > b.max ? a.max : b.max;
  return merged;
}

void ColumnRangesOf(const ConstView& x, std::vector<float>* min, std::vector<float>* max) {
  const Range none;
  min->assign(x.cols(), none.min);
  max->assign(x.cols(), none.max);
  for (int64_t begin = 0; begin < x.cols(); begin += kAffineRun) {
    WidenColumnRun(x, begin, min->data() + begin, max->data() + begin);
  }
}

void WidenColumnRun(const ConstView& x, int64_t begin, float* min, float* max) {
  const int64_t rows = x.rows(), cols = x.cols(), n = std::min(kAffineRun, cols - begin);
  const int64_t size = static_cast<int64_t>(DTypeSize(x.dtype));
  float values[kAffineRun];
  for (int64_t row = 0; row < rows; ++row) {
    LoadRun(static_cast<const std::byte*>(x.data) + (row * cols + begin) * size, x.dtype, n, values);
    WidenColumns(values, n, min, max);
  }
}

}  // namespace modelslim
