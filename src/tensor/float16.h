// bf16 and f16 as storage types, and the arithmetic model of the quantizers: every elementwise operation is done in f32
// and its result rounded to the storage type, nearest, ties to even (spec: quantizers, section 1.1). Subnormals are
// kept.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "tensor/dtype.h"

namespace modelslim {

// Storage only; convert to f32 to compute.
struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

inline float ToF32(float value) { return value; }
inline float ToF32(BF16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }

inline float ToF32(F16 value) {
  // Shift exponent and fraction into place, then scale by 2^112: exact for normals and subnormals alike.
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t rest = static_cast<uint32_t>(value.bits & 0x7fffu) << 13;
  if ((value.bits & 0x7c00u) == 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x007fffffu));
  const float magnitude = std::bit_cast<float>(rest) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

inline BF16 ToBF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return BF16{static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded)};
}

inline F16 ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return F16{static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return F16{static_cast<uint16_t>(sign | 0x7c00u)};  // rounds beyond 65504
  if (magnitude < 0x38800000u) {
    // Subnormal in f16: adding 0.5 leaves the wanted bits, rounded to even, at the bottom of the fraction.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return F16{static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return F16{static_cast<uint16_t>(sign | (rounded >> 13))};
}

// Conversion by type: From<BF16>(x) and so on; From<float> is the identity.
template <class T>
T From(float value);
template <>
inline float From<float>(float value) {
  return value;
}
template <>
inline BF16 From<BF16>(float value) {
  return ToBF16(value);
}
template <>
inline F16 From<F16>(float value) {
  return ToF16(value);
}

// R_d of the spec: `value` rounded to T, as f32.
template <class T>
inline float RoundTo(float value) {
  return ToF32(From<T>(value));
}

// The same by run-time type; dtype must be f32, bf16 or f16.
inline float RoundTo(DType dtype, float value) {
  if (dtype == DType::kBF16) return RoundTo<BF16>(value);
  if (dtype == DType::kF16) return RoundTo<F16>(value);
  return value;
}

template <class T>
constexpr DType DTypeOf();
template <>
constexpr DType DTypeOf<float>() {
  return DType::kF32;
}
template <>
constexpr DType DTypeOf<BF16>() {
  return DType::kBF16;
}
template <>
constexpr DType DTypeOf<F16>() {
  return DType::kF16;
}

// Calls f(T{}) with T = float, BF16 or F16 for the model dtype `dtype`: the one switch from run-time to static type.
template <class F>
decltype(auto) WithModelDType(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kBF16:
      return f(BF16{});
    case DType::kF16:
      return f(F16{});
    default:
      return f(float{});
  }
}

// rne: to an integral value, ties to even. rha: ties away from zero (used by the MX formats).
inline float RoundHalfEven(float value) { return std::nearbyintf(value); }
inline float RoundHalfAway(float value) { return std::copysign(std::floor(std::fabs(value) + 0.5f), value); }

}  // namespace modelslim
