#include "ops/finite.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

constexpr int64_t kLook = 4096;      // elements between two looks at what was found
constexpr int64_t kGrain = 1 << 18;  // elements of a piece

// How a type marks what is no finite number: all bits of `mask` are set. Zero: it has no such values.
uint64_t MaskOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 0x7ff0000000000000u;
    case DType::kF32:
      return 0x7f800000u;
    case DType::kBF16:
      return 0x7f80u;
    case DType::kF16:
    case DType::kF8E5M2:
      return dtype == DType::kF16 ? 0x7c00u : 0x7cu;
    case DType::kF8E4M3:
      return 0x7fu;  // it has no infinity
    case DType::kF8E8M0:
      return 0xffu;
    default:
      return 0;
  }
}

template <class T>
[[gnu::always_inline]] inline bool AnyMarked(const std::byte* x, int64_t count, T mask) {
  T marked = 0;
  for (int64_t i = 0; i < count; ++i) {
    T bits;
    std::memcpy(&bits, x + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    marked |= static_cast<T>((bits & mask) == mask ? 1 : 0);
  }
  return marked != 0;
}
MODELSLIM_MULTIVERSION bool Any8(const std::byte* x, int64_t n, uint8_t mask) { return AnyMarked(x, n, mask); }
MODELSLIM_MULTIVERSION bool Any16(const std::byte* x, int64_t n, uint16_t mask) { return AnyMarked(x, n, mask); }
MODELSLIM_MULTIVERSION bool Any32(const std::byte* x, int64_t n, uint32_t mask) { return AnyMarked(x, n, mask); }
MODELSLIM_MULTIVERSION bool Any64(const std::byte* x, int64_t n, uint64_t mask) { return AnyMarked(x, n, mask); }

bool Any(const std::byte* x, int64_t count, size_t size, uint64_t mask) {
  if (size == 1) return Any8(x, count, static_cast<uint8_t>(mask));
  if (size == 2) return Any16(x, count, static_cast<uint16_t>(mask));
  return size == 4 ? Any32(x, count, static_cast<uint32_t>(mask)) : Any64(x, count, mask);
}

// The first of elements [begin, end), or `end`.
int64_t FirstIn(const std::byte* data, int64_t begin, int64_t end, size_t size, uint64_t mask) {
  for (int64_t at = begin; at < end; at += kLook) {
    const int64_t count = std::min(kLook, end - at);
    const std::byte* const piece = data + at * static_cast<int64_t>(size);
    if (!Any(piece, count, size, mask)) continue;
    int64_t i = 0;
    while (!Any(piece + i * static_cast<int64_t>(size), 1, size, mask)) ++i;
    return at + i;
  }
  return end;
}

}  // namespace

std::optional<int64_t> FirstNotFinite(const ConstView& x) {
  const uint64_t mask = MaskOf(x.dtype);
  const int64_t size = x.size();
  if (mask == 0 || size == 0) return std::nullopt;
  const auto* const data = static_cast<const std::byte*>(x.data);
  std::atomic<int64_t> first{size};
  ParallelRanges(size, kGrain, [&](int64_t begin, int64_t end) {
    if (begin >= first.load(std::memory_order_relaxed)) return;
    const int64_t found = FirstIn(data, begin, end, DTypeSize(x.dtype), mask);
    if (found == end) return;
    for (int64_t known = first.load(); found < known && !first.compare_exchange_weak(known, found);) {
    }
  });
  if (first == size) return std::nullopt;
  return first.load();
}

std::string_view NotFiniteName(const ConstView& x, int64_t index) {
  if (x.dtype == DType::kF64) {
    double value = 0;
    std::memcpy(&value, static_cast<const std::byte*>(x.data) + index * 8, sizeof value);
    return std::isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
  }
  if (!IsModelDType(x.dtype)) return x.dtype == DType::kF8E5M2 ? "NaN or infinity" : "NaN";
  float value = 0;
  const std::byte* const at = static_cast<const std::byte*>(x.data) + index * static_cast<int64_t>(DTypeSize(x.dtype));
  uint16_t half = 0;
  if (x.dtype == DType::kF32) {
    std::memcpy(&value, at, sizeof value);
  } else {
    std::memcpy(&half, at, sizeof half);
    value = x.dtype == DType::kBF16 ? ToF32(BF16{half}) : ToF32(F16{half});
  }
  return std::isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
}

}  // namespace modelslim
