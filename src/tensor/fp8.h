// The 8-bit float e4m3fn: sign, 4 exponent bits (bias 7), 3 fraction bits; no infinity, 0x7f and 0xff are NaN, largest
// 448, subnormal step 2^-9.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace modelslim {

inline float E4M3ToF32(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24, rest = code & 0x7fu;
  if (rest == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);
  const float magnitude = std::bit_cast<float>(rest << 20) * 0x1p120f;  // exponent and fraction in place, bias 7 -> 127
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

// Nearest, ties to even. Beyond the largest: NaN from 464 up (what a plain cast does), 448 below; callers that saturate
// clamp to +-448 first. NaN gives 0x7f with the sign.
inline uint8_t F32ToE4M3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = (bits >> 24) & 0x80u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x43f00000u) return static_cast<uint8_t>(sign | 0x7fu);  // 480 and up, NaN
  if (magnitude < 0x3c800000u) {  // below 2^-6: subnormal; adding 2^14 leaves multiples of 2^-9 at the bottom
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x46800000u));
  }
  magnitude += 0x7ffffu + ((magnitude >> 20) & 1u);
  const uint32_t code = (magnitude >> 20) - (120u << 3);
  return static_cast<uint8_t>(sign | (code > 0x7eu ? 0x7fu : code));
}

}  // namespace modelslim
