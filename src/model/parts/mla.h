// Multi-head latent attention (DeepSeek): queries and keys are a part without position and a rotated part, keys and
// values of all heads come from one latent vector per token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/config_reader.h"
#include "ops/rope.h"

namespace modelslim {

struct MlaSizes {
  int64_t hidden = 0, heads = 0;
  int64_t q_lora = 0;  // 0: one q_proj instead of q_a_proj, q_a_layernorm, q_b_proj
  int64_t kv_lora = 0;
  int64_t nope = 0, rope = 0, v = 0;

  int64_t qk() const { return nope + rope; }
};
MlaSizes ReadMlaSizes(const JsonRef& config);

// (nope + rope)^-0.5 * m^2 with m = 0.1 * mscale * ln(factor) + 1, or without m when it does not apply (0).
float MlaScale(const MlaSizes& sizes, double mscale, double factor);

// Rows of the layout below `prefix` = "model.layers.3.self_attn". Norms have `norm_dtype`.
void AddMla(std::vector<ModuleInfo>* modules, const std::string& prefix, const MlaSizes& sizes, DType dtype,
            DType norm_dtype);

// q [rows, heads * qk] in place, begins at the rotated part of every head.
RopeOptions MlaQueryRope(const MlaSizes& sizes, RopeLayout layout);

// From kv_b's [rows, heads * (nope + v)] and the rotated part shared by all heads [rows, rope]: keys [rows, heads *
// qk], values [rows, heads * v], both of type Promote(kv, k_pe).
struct KeysAndValues {
  Tensor keys, values;
};
KeysAndValues AssembleKeys(const MlaSizes& sizes, const ConstView& kv, const ConstView& k_pe);

// The value group of an MLA: kv_b_proj's value rows feed o_proj.
Subgraph MlaValueGroup(const MlaSizes& sizes, const std::string& attention);

}  // namespace modelslim
