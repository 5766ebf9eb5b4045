// The exponentials of a softmax row, where an instruction set does better than the compiler.
#pragma once

#include <cstdint>

#include "tensor/float16.h"

namespace modelslim {

// p[j] = e^(scores[j] * scale - max) rounded to bf16; returns the sum of the unrounded values over sixteen interleaved
// partial sums. The bits of the loop in softmax.cc.
using ExpRowBF16 = float (*)(const float* scores, int64_t count, float scale, float max, BF16* p);

// Null when this machine has none.
ExpRowBF16 ArchExpRowBF16();

}  // namespace modelslim
