// Attention written to be read, in f64: what the blocked one is compared with.
#pragma once

#include "kernels/attention.h"

namespace modelslim {

void RefCausalAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                        std::span<const int64_t> offsets, const View& out);

}  // namespace modelslim
