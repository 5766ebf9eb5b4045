#include "ops/rope.h"

#include <vector>

#include "kernels/multiversion.h"
#include "ops/f32_rows.h"

namespace modelslim {
namespace {

// x [2 * half] of one head. torch computes x * cos + rotate_half(x) * sin, every operation rounded to T.
template <class T>
MODELSLIM_MULTIVERSION void RotateHalves(T* __restrict x, const float* __restrict cos, const float* __restrict sin,
                                         int64_t half) {
  for (int64_t j = 0; j < half; ++j) {
    const float a = ToF32(x[j]), b = ToF32(x[j + half]);
    x[j] = From<T>(RoundTo<T>(a * cos[j]) + RoundTo<T>(-b * sin[j]));
    x[j + half] = From<T>(RoundTo<T>(b * cos[j]) + RoundTo<T>(a * sin[j]));
  }
}

template <class T>
MODELSLIM_MULTIVERSION void RotatePairs(T* __restrict x, const float* __restrict cos, const float* __restrict sin,
                                        int64_t half) {
  for (int64_t j = 0; j < half; ++j) {
    const float a = ToF32(x[2 * j]), b = ToF32(x[2 * j + 1]);
    x[2 * j] = From<T>(a * cos[j] - b * sin[j]);
    x[2 * j + 1] = From<T>(a * sin[j] + b * cos[j]);
  }
}

template <class T>
void EvenThenOdd(T* x, int64_t half, T* buffer) {
  for (int64_t j = 0; j < half; ++j) buffer[j] = x[2 * j], buffer[half + j] = x[2 * j + 1];
  std::copy(buffer, buffer + 2 * half, x);
}

}  // namespace

void ApplyRope(const View& x, const RopeTable& table, const RopeOptions& options) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && options.heads > 0 && x.cols() % options.heads == 0);
  const int64_t cols = x.cols(), head_dim = cols / options.heads, half = table.dim() / 2;
  MODELSLIM_CHECK(x.rows() == table.rows() && options.begin >= 0 && options.begin + table.dim() <= head_dim);
  WithModelDType(x.dtype, [&](auto type) {
    using T = decltype(type);
    ForRows(x.rows(), cols, [&](int64_t t0, int64_t t1) {
      std::vector<T> buffer(static_cast<size_t>(2 * half));
      for (int64_t t = t0; t < t1; ++t) {
        for (int64_t h = 0; h < options.heads; ++h) {
          T* head = x.as<T>() + t * cols + h * head_dim + options.begin;
          if (options.layout == RopeLayout::kInterleaved) {
            RotatePairs(head, table.cos(t), table.sin(t), half);
            continue;
          }
          if (options.layout == RopeLayout::kInterleavedToHalf) EvenThenOdd(head, half, buffer.data());
          RotateHalves(head, table.cos(t), table.sin(t), half);
        }
      }
    });
  });
}

}  // namespace modelslim
