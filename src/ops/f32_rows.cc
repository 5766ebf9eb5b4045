#include "ops/f32_rows.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

constexpr int64_t kGrain = 1 << 16;  // elements of one task

template <class T>
MODELSLIM_MULTIVERSION void Widen(const T* __restrict from, int64_t count, float* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] = ToF32(from[i]);
}

template <class T>
MODELSLIM_MULTIVERSION void Narrow(const float* __restrict from, int64_t count, T* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] = From<T>(from[i]);
}

template <class T>
MODELSLIM_MULTIVERSION void RoundInPlace(float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = RoundTo<T>(values[i]);
}

}  // namespace

const float* LoadF32(const ConstView& x, int64_t begin, int64_t count, float* buffer) {
  switch (x.dtype) {
    case DType::kF32:
      return x.as<float>() + begin;
    case DType::kBF16:
      Widen(x.as<BF16>() + begin, count, buffer);
      return buffer;
    case DType::kF16:
      Widen(x.as<F16>() + begin, count, buffer);
      return buffer;
    default:
      CheckFailed("a model type", __FILE__, __LINE__);
  }
}

void StoreF32(const float* values, int64_t count, const View& y, int64_t begin) {
  switch (y.dtype) {
    case DType::kF32:
      std::memmove(y.as<float>() + begin, values, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kBF16:
      Narrow(values, count, y.as<BF16>() + begin);
      return;
    case DType::kF16:
      Narrow(values, count, y.as<F16>() + begin);
      return;
    default:
      CheckFailed("a model type", __FILE__, __LINE__);
  }
}

void RoundF32(DType dtype, float* values, int64_t count) {
  if (dtype == DType::kBF16) RoundInPlace<BF16>(values, count);
  if (dtype == DType::kF16) RoundInPlace<F16>(values, count);
}

void ForPieces(int64_t size, const std::function<void(int64_t, int64_t)>& body) {
  ParallelRanges(size, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kPiece) body(i, std::min(kPiece, end - i));
  });
}

void ForRows(int64_t rows, int64_t cols, const std::function<void(int64_t, int64_t)>& body) {
  ParallelRanges(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, cols)), body);
}

}  // namespace modelslim
