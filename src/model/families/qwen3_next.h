// Qwen3-Next: gated delta nets with a gated attention every few layers, zero-centred norms, experts with a shared one.
#pragma once

#include <memory>
#include <string_view>

#include "model/family.h"

namespace modelslim {

std::unique_ptr<Family> MakeQwen3Next(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);
// What stays float in it.
std::span<const KeptFloat> Qwen3NextKeptFloat();

}  // namespace modelslim
