// The forward of a Linear as a server computes it.
#pragma once

#include <memory>

#include "format/saved_output.h"
#include "model/module.h"

namespace modelslim {

// `output` must outlive it. Reads the saved tensors at the first product, and again after they were released.
std::unique_ptr<LinearForward> MakeDeployedForward(const SavedOutput& output, SavedLinear linear, ServerPhase phase);

}  // namespace modelslim
