// Opens the weights that a family reads.
#pragma once

#include <cstdint>
#include <memory>

#include "base/file.h"
#include "io/json.h"

namespace modelslim {

class Checkpoint;

// The weights of a model directory, under the names that config.json's model has (see NormalizeNames). Logs what is odd
// about them. Throws Error(kInvalidModel) as Checkpoint does, and for weights that are quantized already in a form that
// is not read here.
// `names`: whether they are brought into that form, or kept as they are.
enum class SourceNames : uint8_t { kNormalized, kAsTheyAre };
std::unique_ptr<Checkpoint> OpenWeights(const fs::path& directory, const Json& config,
                                        SourceNames names = SourceNames::kNormalized);

}  // namespace modelslim
