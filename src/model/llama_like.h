// Whether a model whose type is not known may be computed as Llama: by its tensors, and by the keys of its config.json.
#pragma once

#include <string>

#include "io/json.h"

namespace modelslim {

class Checkpoint;

// Why not: a tensor that Llama's layers do not have, a key that asks for other arithmetic, a type of which it is known
// that it computes something else with the same tensors. Empty when nothing speaks against it.
std::string WhyNotLlama(const Json& config, const Checkpoint& checkpoint);

// Logs that it is computed so, and which keys of config.json nobody has looked at.
void TellLlama(const Json& config);

}  // namespace modelslim
