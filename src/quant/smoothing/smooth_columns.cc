#include "quant/smoothing/smooth_columns.h"

#include <bit>

#include "kernels/multiversion.h"

namespace modelslim::smooth_columns {
namespace {

template <class T>
[[gnu::always_inline]] inline void UpdateRows(const T* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                              const Running& running) {
  float* const min = running.min;
  float* const max = running.max;
  int32_t* const abs_bits = running.abs_bits;
  double* const abs_sum = running.abs_sum;
  for (int64_t r = 0; r < rows; ++r) {
    const T* const row = x + r * cols;
#pragma omp simd
    for (int64_t c = begin; c < end; ++c) {
      const float v = ToF32(row[c]);
      const int32_t bits = std::bit_cast<int32_t>(v) & 0x7fffffff;
      min[c] = v < min[c] ? v : min[c];
      max[c] = v > max[c] ? v : max[c];
      abs_bits[c] = bits > abs_bits[c] ? bits : abs_bits[c];
      abs_sum[c] += std::bit_cast<float>(bits);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void UpdateMaxRows(const T* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                                 float* max, int32_t* abs_bits) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* const row = x + r * cols;
#pragma omp simd
    for (int64_t c = begin; c < end; ++c) {
      const float v = ToF32(row[c]);
      const int32_t bits = std::bit_cast<int32_t>(v) & 0x7fffffff;
      max[c] = v > max[c] ? v : max[c];
      abs_bits[c] = bits > abs_bits[c] ? bits : abs_bits[c];
    }
  }
}

MODELSLIM_MULTIVERSION void UpdateF32(const float* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                      const Running& running) {
  UpdateRows(x, rows, cols, begin, end, running);
}
MODELSLIM_MULTIVERSION void UpdateBF16(const BF16* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                       const Running& running) {
  UpdateRows(x, rows, cols, begin, end, running);
}
MODELSLIM_MULTIVERSION void UpdateMaxF32(const float* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                         float* max, int32_t* abs_bits) {
  UpdateMaxRows(x, rows, cols, begin, end, max, abs_bits);
}
MODELSLIM_MULTIVERSION void UpdateMaxBF16(const BF16* x, int64_t rows, int64_t cols, int64_t begin, int64_t end,
                                          float* max, int32_t* abs_bits) {
  UpdateMaxRows(x, rows, cols, begin, end, max, abs_bits);
}

}  // namespace

void Update(const ConstView& x, int64_t begin, int64_t end, const Running& running) {
  switch (x.dtype) {
    case DType::kF32:
      return UpdateF32(x.as<float>(), x.rows(), x.cols(), begin, end, running);
    case DType::kBF16:
      return UpdateBF16(x.as<BF16>(), x.rows(), x.cols(), begin, end, running);
    default:
      return UpdateRows(x.as<F16>(), x.rows(), x.cols(), begin, end, running);
  }
}

void UpdateMax(const ConstView& x, int64_t begin, int64_t end, float* max, int32_t* abs_bits) {
  switch (x.dtype) {
    case DType::kF32:
      return UpdateMaxF32(x.as<float>(), x.rows(), x.cols(), begin, end, max, abs_bits);
    case DType::kBF16:
      return UpdateMaxBF16(x.as<BF16>(), x.rows(), x.cols(), begin, end, max, abs_bits);
    default:
      return UpdateMaxRows(x.as<F16>(), x.rows(), x.cols(), begin, end, max, abs_bits);
  }
}

}  // namespace modelslim::smooth_columns
