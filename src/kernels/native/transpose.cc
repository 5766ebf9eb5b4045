#include "kernels/native/transpose.h"

#include <algorithm>
#include <cstring>

namespace modelslim {
namespace {

// Compilers turn these into the unpack or zip instructions of their machine.
using Vector [[gnu::vector_size(16)]] = uint32_t;

Vector Load(const std::byte* from) {
  Vector loaded;
  std::memcpy(&loaded, from, sizeof loaded);
  return loaded;
}

void Transpose4x4(const std::byte* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  const Vector a = Load(from), b = Load(from + from_stride), c = Load(from + 2 * from_stride),
               d = Load(from + 3 * from_stride);
  const Vector ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Vector cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Vector columns[4] = {
      __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
      __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * to_stride, &columns[i], sizeof columns[i]);
}

}  // namespace

void Transpose32(const void* from, int64_t from_stride, int64_t rows, int64_t cols, uint32_t* to, int64_t to_stride) {
  const std::byte* source = static_cast<const std::byte*>(from);
  constexpr int64_t kLine = 16;  // elements of a cache line
  for (int64_t c0 = 0; c0 < cols; c0 += kLine) {
    const int64_t c1 = std::min(cols, c0 + kLine), whole = c0 + (c1 - c0) / 4 * 4;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const std::byte* block = source + r * from_stride;
      for (int64_t c = c0; c < whole; c += 4)
        Transpose4x4(block + c * 4, from_stride, to + c * to_stride + r, to_stride);
      for (int64_t c = whole; c < c1; ++c) {
        for (int64_t i = 0; i < 4; ++i) std::memcpy(to + c * to_stride + r + i, block + i * from_stride + c * 4, 4);
      }
    }
    for (; r < rows; ++r) {
      for (int64_t c = c0; c < c1; ++c) std::memcpy(to + c * to_stride + r, source + r * from_stride + c * 4, 4);
    }
  }
}

}  // namespace modelslim
