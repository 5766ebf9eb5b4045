// DeepSeek-V3.2: V3 with an indexer that selects the tokens to attend to, f32 norms and a residual that travels beside
// x.
#pragma once

#include <memory>
#include <string_view>

#include "model/family.h"

namespace modelslim {

std::unique_ptr<Family> MakeDeepseekV32(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);
// What stays float in it.
std::span<const KeptFloat> DeepseekV32KeptFloat();

}  // namespace modelslim
