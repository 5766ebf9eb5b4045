// Recognizes models that take more than text.
#pragma once

#include <string>

#include "io/json.h"

namespace modelslim {

// Throws Error(kUnsupported) when config.json describes a model with a tower for images or sound, or one whose text
// model is nested: the families here compute language models by themselves.
void RefuseMultimodal(const Json& config);

// The key that tells of a tower for images or sound ("vision_config"); empty when none does.
std::string TowerKey(const Json& config);

}  // namespace modelslim
