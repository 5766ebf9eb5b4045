// Functions that a compiler can put into vector loops: no branches, no tables, the same bits on every machine.
#pragma once

#include <bit>
#include <cstdint>

namespace modelslim {

// e^x within 2 units in the last place: overflows to infinity, underflows through the subnormals to 0, NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts so that n times the first is exact; a polynomial of degree 7
// for e^r (coefficients of the Cephes library's expf); 2^n in two factors, so that its subnormals are reached.
inline float VectorExp(float x) {
  x = x < -110.0f ? -110.0f : x;
  x = x > 95.0f ? 95.0f : x;
  constexpr float kShift = 0x1.8p23f;
  const float shifted = x * 1.44269504f + kShift;
  const float n = shifted - kShift;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kShift);
  const int32_t half = exponent >> 1;
  const float first = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<uint32_t>(exponent - half + 127) << 23);
  return p * first * second;
}

// 1 / (1 + e^-x).
inline float VectorSigmoid(float x) { return 1.0f / (1.0f + VectorExp(-x)); }

}  // namespace modelslim
