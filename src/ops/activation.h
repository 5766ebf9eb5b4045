// The activation functions over a run of f32 values. Inside ops/ only.
#pragma once

#include <cstdint>

#include "ops/elementwise.h"

namespace modelslim {

// y[i] = act(x[i]); y may be x.
void ActivateF32(Activation act, const float* x, int64_t count, float* y);

}  // namespace modelslim
