// Qwen3-MoE: the attention of Qwen3, a router and many small experts (some layers may be dense).
#pragma once

#include <memory>
#include <string_view>

#include "model/family.h"

namespace modelslim {

std::unique_ptr<Family> MakeQwen3Moe(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);
// What stays float in it.
std::span<const KeptFloat> Qwen3MoeKeptFloat();

}  // namespace modelslim
