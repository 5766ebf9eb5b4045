// What a linear layer became. The one list of these types, with the names that the description file uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace modelslim {

enum class QuantMode : uint8_t {
  kFloat,
  kW16A16S,
  kW8A16,
  kW8A8Dynamic,
  kW8A8Mix,
  kW8A8,
  kWFP8AFP8Dynamic,
  kW8A8MXFP8,
  kW4A8MXFP,
  kW4A4Dynamic,
  kW4A4MXFP4,
  kW4A4MXFP4DualScale,
  kW4A8Dynamic,
  kW8A8S,  // codes of a low-bit grid with outliers, in int8; modelslim_v0 only
  kW4A16   // modelslim_v0 only
};
inline constexpr int kQuantModeCount = 15;

// "W8A8_DYNAMIC" and so on; FLOAT for kFloat.
std::string_view QuantModeName(QuantMode mode);

// The mode of a name; W8A8FP8_DYNAMIC is WFP8AFP8_DYNAMIC. Nothing for others ("C8").
std::optional<QuantMode> QuantModeOf(std::string_view name);

// vLLM-Ascend's name of WFP8AFP8_DYNAMIC; the tensors are the same.
inline constexpr std::string_view kFp8TypeOfVllm = "W8A8FP8_DYNAMIC";

// Bits that one weight takes in the output (scales not counted).
double WeightBits(QuantMode mode, double float_bits);

}  // namespace modelslim
