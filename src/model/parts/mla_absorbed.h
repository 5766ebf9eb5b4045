// The absorbed form of latent attention: queries are brought into the latent space, where keys and values are one
// vector per token. It is what inference runs, and where FA3 quantizes.
#pragma once

#include "model/block.h"
#include "model/parts/mla.h"

namespace modelslim {

// Everything but o_proj. kv_b: kv_b_proj's weight [heads * (nope + v), kv_lora], read as it is; the linear itself does
// not run. q [rows, heads * qk] rotated, c [rows, kv_lora] normalized, k_pe [rows, rope] rotated. The hook sees the
// queries in latent space [rows, heads * kv_lora] and c, whose replacement serves as keys and values. Result [rows,
// heads * v] of type Promote(q, c).
struct AbsorbedInputs {
  ConstView kv_b, q, c, k_pe;
  std::string attention = {};  // its name, for messages
};
Tensor AbsorbedAttention(const MlaSizes& sizes, float scale, const AbsorbedInputs& in, FaHook& hook,
                         const RowGroups& groups);

}  // namespace modelslim
