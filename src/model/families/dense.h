// Dense decoders: Llama (and Mistral without a window), Qwen2 / Qwen2.5 / QwQ, Qwen3.
#pragma once

#include <memory>
#include <string_view>

#include "model/family.h"

namespace modelslim {

// `adapter` picks the maps, config.json's model_type the maths. Throws as MakeFamily() does.
std::unique_ptr<Family> MakeDense(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);

}  // namespace modelslim
