#include "quant/numbers/row_magnitude.h"

#include <bit>

#include "quant/numbers/simd.h"
#include "quant/weights/row_kernels_wide.h"

namespace modelslim {

namespace {

MODELSLIM_MULTIVERSION uint16_t PortableLargest16(const uint16_t* values, int64_t n) {
  uint16_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t magnitude = static_cast<uint16_t>(values[i] & 0x7fffu);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

MODELSLIM_MULTIVERSION uint32_t PortableLargest32(const uint32_t* values, int64_t n) {
  uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t magnitude = values[i] & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

}  // namespace

uint16_t LargestBits16(const uint16_t* values, int64_t n) {
  const WideRowKernels* wide = Wide();
  return wide != nullptr ? wide->largest_16(values, n) : PortableLargest16(values, n);
}

uint32_t LargestBits32(const uint32_t* values, int64_t n) {
  const WideRowKernels* wide = Wide();
  return wide != nullptr ? wide->largest_32(values, n) : PortableLargest32(values, n);
}

void PrefetchRow(const ConstView& x, int64_t row, int64_t begin, int64_t n) {
  if (row >= x.rows()) return;
  const int64_t size = static_cast<int64_t>(DTypeSize(x.dtype));
  const char* data = static_cast<const char*>(x.data) + (row * x.cols() + begin) * size;
  for (int64_t i = 0; i < n * size; i += 64) __builtin_prefetch(data + i, 0, 3);
}

float LargestMagnitude(const ConstView& x, int64_t row) {
  const int64_t cols = x.cols();
  if (x.dtype == DType::kF32) {
    return std::bit_cast<float>(LargestBits32(static_cast<const uint32_t*>(x.data) + row * cols, cols));
  }
  const uint16_t bits = LargestBits16(static_cast<const uint16_t*>(x.data) + row * cols, cols);
  return x.dtype == DType::kBF16 ? ToF32(BF16{bits}) : ToF32(F16{bits});
}

}  // namespace modelslim
