// DeepSeek-V3, R1, V3.1: latent attention, grouped sigmoid routing, an MTP layer, weights in block-fp8 or bf16.
#pragma once

#include <memory>
#include <string_view>

#include "model/family.h"

namespace modelslim {

std::unique_ptr<Family> MakeDeepseekV3(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);
// What stays float in it.
std::span<const KeptFloat> DeepseekV3KeptFloat();

}  // namespace modelslim
