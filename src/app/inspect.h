// Commands that only look: what the program knows.
#pragma once

#include <ostream>

namespace modelslim {

// Families with the names that --model_type takes and the config.json types they compute.
void ListModels(bool json, std::ostream& out);

}  // namespace modelslim
