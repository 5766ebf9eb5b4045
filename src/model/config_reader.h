// What several families read from config.json in the same way. All of it is checked: a hostile or unusual file ends in
// an Error that names the key, what was expected and what was found.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json_ref.h"
#include "ops/elementwise.h"
#include "ops/rope.h"
#include "tensor/dtype.h"

namespace modelslim {

class Checkpoint;

// A size: an integer from 1 to 2^24 (kinds of things that are counted per layer or per token), required or with a
// default.
int64_t ReadSize(const JsonRef& config, std::string_view key);
int64_t ReadSizeOr(const JsonRef& config, std::string_view key, int64_t fallback);

// torch_dtype (or its newer name "dtype"), else the type of the first floating tensor, as models are loaded with
// "auto".
DType ReadModelDType(const JsonRef& config, const Checkpoint& checkpoint);

// rope_theta and rope_scaling (or the newer rope_parameters, which holds both) for `dim` rotated elements of a head.
// Throws Error(kUnsupported) for a rope type that we do not compute.
RopeConfig ReadRope(const JsonRef& config, int64_t dim, double default_theta = 10000.0);

// hidden_act, by default silu. Throws Error(kUnsupported) for a name we do not know.
Activation ReadActivation(const JsonRef& config);

// The numbers every decoder has. head_dim: the key of that name if present and not null, else `default_head_dim`, else
// hidden / heads.
struct DecoderSizes {
  int64_t vocab = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 1e-6;
};
DecoderSizes ReadDecoderSizes(const JsonRef& config, int64_t default_head_dim = 0);

// Throws Error(kUnsupported) when windowed attention is switched on: "use_sliding_window" (Qwen), or a "sliding_window"
// that is not null where `window_key_alone_counts` (Mistral).
void RefuseSlidingWindow(const JsonRef& config, bool window_key_alone_counts);
// Throws Error(kUnsupported) when one of these keys is present with a value other than null, false, 0 or 1: they change
// the forward in a way that the family does not compute.
void RefuseKeys(const JsonRef& config, std::initializer_list<const char*> keys);

// The head shares the embedding: the file says so (or is silent and `default_tied`) and has no head of its own.
bool ReadTied(const JsonRef& config, const Checkpoint& checkpoint, bool default_tied = false);

}  // namespace modelslim
