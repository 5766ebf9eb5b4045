// The names of a language model's tensors where a checkpoint has them under another prefix.
#pragma once

#include <string>

namespace modelslim {

class Checkpoint;

// Brings them into the form that config.json's model has ("model.layers.0...", "lm_head.weight"): a checkpoint saved
// without its head has no prefix ("layers.0..."), one taken out of a multimodal model has a longer one
// ("model.language_model.layers.0...", "language_model.model.layers.0..."). Returns what was done, in words; empty when
// the names are those already, or no single prefix explains them.
std::string NormalizeNames(Checkpoint* checkpoint);

}  // namespace modelslim
