// Rounding written without branches, for loops that the compiler vectorizes (see kernels/multiversion.h).
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/multiversion.h"
#include "tensor/float16.h"

// For what must melt into such a function to be compiled for its instruction set.
#define MODELSLIM_INLINE inline __attribute__((always_inline))

namespace modelslim {

// RoundTo<T> without branches. A NaN stays a NaN, its payload does not matter.
template <class T>
MODELSLIM_INLINE float FastRound(float value);

template <>
MODELSLIM_INLINE float FastRound<float>(float value) {
  return value;
}

template <>
MODELSLIM_INLINE float FastRound<BF16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  return value == value ? std::bit_cast<float>(rounded) : value;
}

template <>
MODELSLIM_INLINE float FastRound<F16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits & 0x80000000u, magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & 0xffffe000u;
  const uint32_t bounded = normal > 0x477fe000u ? 0x7f800000u : normal;
  // The unit in the last place of 0.5 is the step of f16 subnormals.
  const float subnormal = (std::bit_cast<float>(magnitude) + 0.5f) - 0.5f;
  const uint32_t rounded = magnitude < 0x38800000u ? std::bit_cast<uint32_t>(subnormal) : bounded;
  return value == value ? std::bit_cast<float>(rounded | sign) : value;
}

// Adding 1.5 * 2^23 to a float of magnitude below 2^22 rounds it half to even, and leaves it as an integer in the low
// bits.
inline constexpr float kRoundingMagic = 12582912.0f;

// round(v) clamped to the integers lowest..highest, as the float v + kRoundingMagic; NaN becomes 0.
MODELSLIM_INLINE float ClampAndRound(float value, float lowest, float highest) {
  float clamped = lowest > value ? lowest : value;
  clamped = highest < clamped ? highest : clamped;
  clamped = value == value ? clamped : 0.0f;
  return clamped + kRoundingMagic;
}

}  // namespace modelslim
