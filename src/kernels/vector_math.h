// Functions that a compiler can put into vector loops: no branches, no tables, the same bits on every machine.
#pragma once

#include <bit>
#include <cstdint>

namespace modelslim {

// e^r for r = x - n ln 2 with n the integer nearest to x / ln 2, |r| <= ln 2 / 2: a polynomial of degree 7
// (coefficients of the Cephes library's expf), ln 2 in two parts. Fused multiply-adds throughout: exact to define, and
// one instruction where it matters. n comes out of the bottom bits of the shifted value.
inline float ReducedExp(float x, int32_t* n) {
  constexpr float kShift = 0x1.8p23f;
  const float shifted = __builtin_fmaf(x, 1.44269504f, kShift);
  const float whole = shifted - kShift;
  const float r = __builtin_fmaf(whole, 2.12194440e-4f, __builtin_fmaf(whole, -0.693359375f, x));
  float p = 1.9875691500e-4f;
  p = __builtin_fmaf(p, r, 1.3981999507e-3f);
  p = __builtin_fmaf(p, r, 8.3334519073e-3f);
  p = __builtin_fmaf(p, r, 4.1665795894e-2f);
  p = __builtin_fmaf(p, r, 1.6666665459e-1f);
  p = __builtin_fmaf(p, r, 5.0000001201e-1f);
  p = __builtin_fmaf(p, r * r, r) + 1.0f;
  *n = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kShift);
  return p;
}

// e^x within 2 units in the last place: overflows to infinity, underflows through the subnormals to 0, NaN stays NaN.
// 2^n goes in by two factors, so that its subnormals are reached.
inline float VectorExp(float x) {
  x = x < -110.0f ? -110.0f : x;
  x = x > 95.0f ? 95.0f : x;
  int32_t n;
  const float p = ReducedExp(x, &n);
  const int32_t half = n >> 1;
  const float first = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<uint32_t>(n - half + 127) << 23);
  return p * first * second;
}

// The same for x <= 0 only, with 0 for results below 2^-125: for softmax, where those do not count.
inline float VectorExpOfNegative(float x) {
  const float clamped = x < -86.0f ? -86.0f : x;
  int32_t n;
  const float p = ReducedExp(clamped, &n);
  const float value = p * std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
  return x < -86.0f ? 0.0f : value;
}

// e^x for x <= 0 within about 2^-20: a quintic of minimax coefficients, as the reference's attention in f32 computes
// it.
inline float QuinticExpOfNegative(float x) {
  constexpr float kLowest = -87.3365479f;
  const float clamped = x < kLowest ? kLowest : x;
  const float n = __builtin_floorf(__builtin_fmaf(clamped, 1.44269502f, 0.5f));
  const float r = __builtin_fmaf(n, -0.693147182f, clamped);
  float p = __builtin_fmaf(r, 0.00828929059f, 0.0418978221f);
  p = __builtin_fmaf(r, p, 0.166676521f);
  p = __builtin_fmaf(r, p, 0.499991506f);
  p = __builtin_fmaf(r, p, 0.999999701f);
  p = __builtin_fmaf(r, p, 1.0f);
  const float half_power = std::bit_cast<float>((static_cast<int32_t>(n) + 126) << 23);
  return x < kLowest ? 0.0f : p * half_power * 2.0f;
}

// e^x for x <= 0 within about 1e-4, by the method of Malossi, Ineichen, Bekas and Curioni (Fast Exponential Computation
// on SIMD Architectures, 2015): the bits of x * log2(e), less a cubic in its fraction, read as a float. Attention in
// 16-bit types takes this one, as the reference's does: its error lies below the rounding of the probabilities, but
// shows in their sum.
inline float FastExpOfNegative(float x) {
  constexpr float kLowest = -87.3365479f;  // ln of the smallest normal number
  const float clamped = x < kLowest ? kLowest : x;
  const float scaled = clamped * 1.44269502f;
  const float fraction = scaled - __builtin_floorf(scaled);
  float p = __builtin_fmaf(fraction, -0.079204240219773236f, -0.22433836478672356f);
  p = __builtin_fmaf(fraction, p, 0.30354260500649682f);
  p = __builtin_fmaf(fraction, p, 0.00010703434948458272f);
  const float bits = __builtin_fmaf(0x1p23f, scaled - p, 0x1p23f * 127.0f);
  const float value = std::bit_cast<float>(static_cast<int32_t>(bits));
  return x < kLowest ? 0.0f : value;
}

// 1 / (1 + e^-x).
inline float VectorSigmoid(float x) { return 1.0f / (1.0f + VectorExp(-x)); }

}  // namespace modelslim
