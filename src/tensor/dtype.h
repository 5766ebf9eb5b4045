// The one table of element types, with the names that safetensors uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace modelslim {

// In the order by which safetensors writers sort (see format/): a type with a larger value comes first in a file.
enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64
};
inline constexpr int kDTypeCount = 17;

size_t DTypeSize(DType dtype);            // bytes of one element
std::string_view DTypeName(DType dtype);  // "BF16"
std::optional<DType> ParseDType(std::string_view name);
// f32, bf16 or f16: what a model computes in.
constexpr bool IsModelDType(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}
// Any type that holds real numbers (f64 and the fp8 types too).
bool IsFloat(DType dtype);
// The type of a mixed elementwise operation: equal types stay, everything else among f32, bf16 and f16 becomes f32.
constexpr DType Promote(DType a, DType b) { return a == b ? a : DType::kF32; }

}  // namespace modelslim
