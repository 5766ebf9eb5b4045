// A model of which nothing is known but the names, types and shapes of its tensors: enough for every recipe whose steps
// need no data. Every matrix NAME.weight is a Linear under its own name, stacked experts are Linears of their own, and
// everything else is written as it is.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/family.h"

namespace modelslim {

// Weights to another form, named one by one: nothing stays float by default.
struct NamesConversion {
  std::function<bool(std::string_view)> to_bf16;            // Linears whose values become bf16 first
  std::function<std::string(const std::string&)> new_name;  // of a tensor
  std::function<std::vector<std::string>(const std::string&)>
      chunks;  // the projections that a stack is cut into; or none
};

struct NamesOptions {
  bool asked = false;  // the user wants names only, so that they need not be those of config.json's architecture
  std::optional<bool> stacks_transposed =
      std::nullopt;                             // [experts, in, out]; nothing: as the architecture or the sizes say
  const NamesConversion* conversion = nullptr;  // null: quantization; needed during the call only
};

// Throws Error(kUnsupported) when config.json names an architecture whose names the weights do not have,
// Error(kInvalidModel) for weights that contradict themselves: experts missing in the middle, one name twice, scales
// without weights, stacks whose sizes leave it open what is what.
std::unique_ptr<Family> MakeNamesFamily(const Json& config, const Checkpoint& checkpoint, const NamesOptions& options);

inline constexpr std::string_view kNamesFamily = "names";

}  // namespace modelslim
