// What several families read from config.json in the same way. All of it is checked: a hostile or unusual file ends in
// an Error that names the key, what was expected and what was found.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_ref.h"
#include "model/layout.h"
#include "ops/elementwise.h"
#include "tensor/dtype.h"

namespace modelslim {

class Checkpoint;

inline constexpr int64_t kLargestSize = int64_t{1} << 24;

// A size: an integer from 1 to kLargestSize (kinds of things that are counted per layer or per token), required or with
// a default.
int64_t ReadSize(const JsonRef& config, std::string_view key);
int64_t ReadSizeOr(const JsonRef& config, std::string_view key, int64_t fallback);

// A finite number above 0.
double ReadPositive(const JsonRef& value);
double PositiveOr(const JsonRef& value, double fallback);

// The same value under several names, as releases of transformers have called it: the first of `keys` that is there
// (else the first key, absent). A warning tells of others that are there and differ.
JsonRef FirstOf(const JsonRef& object, std::initializer_list<const char*> keys);
// The warning itself, if both are there and differ.
void TellDisagreement(const JsonRef& used, const JsonRef& other);

// dtype (or its older name torch_dtype), else the type of the first floating tensor, as models are loaded with "auto".
DType ReadModelDType(const JsonRef& config, const Checkpoint& checkpoint);

// layer_types: the kind of every layer; empty when the file has no such key.
std::vector<std::string> ReadLayerTypes(const JsonRef& config, int64_t layers);
// Throws Error(kUnsupported) when layer_types has another kind than these.
void RequireLayerTypes(const JsonRef& config, std::initializer_list<std::string_view> kinds);

// hidden_act, by default silu. Throws Error(kUnsupported) for a name we do not know.
Activation ReadActivation(const JsonRef& config);

// The numbers every decoder has. head_dim: the key of that name if present and not null, else `default_head_dim`, else
// hidden / heads.
struct DecoderSizes {
  int64_t vocab = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double eps = 1e-6;
};
DecoderSizes ReadDecoderSizes(const JsonRef& config, int64_t default_head_dim = 0);

// How a family switches windowed attention on and off. In all of them use_sliding_window: false and sliding_window:
// null mean that there is no window, and sliding_attention in layer_types that there is one.
struct WindowRules {
  bool always = false;                    // sliding_window alone means that every layer has it (Mistral)
  int64_t default_size = 0;               // what an absent sliding_window means; 0: no window
  const char* first_layer_key = nullptr;  // with use_sliding_window, the layers from this one on have it
};
std::optional<AttentionWindow> ReadWindow(const JsonRef& config, int64_t layers, const WindowRules& rules);

// null, false, 0, 1, "" and empty lists and objects: values that leave a forward pass alone.
bool IsOff(const Json& value);
// Throws Error(kUnsupported) when one of these keys is present with another value: they change the forward in a way
// that the family does not compute.
void RefuseKeys(const JsonRef& config, std::initializer_list<const char*> keys);
[[noreturn]] void RefuseKey(const JsonRef& value);

// The head shares the embedding: the file says so (or is silent and `default_tied`) and has no head of its own.
bool ReadTied(const JsonRef& config, const Checkpoint& checkpoint, bool default_tied = false);

}  // namespace modelslim
