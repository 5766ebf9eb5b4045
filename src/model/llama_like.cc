#include "model/llama_like.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/words.h"
#include "io/checkpoint.h"
#include "io/json_ref.h"
#include "io/quote.h"
#include "model/config_reader.h"

namespace modelslim {
namespace {

// Types with exactly Llama's tensors and no key that tells that they compute something else.
struct Twin {
  std::string_view type, difference;
};
constexpr Twin kTwins[] = {{"gemma", "its norms multiply by 1 + weight, and its embedding is scaled"},
                           {"ernie4_5", "it rotates neighbouring elements of a head"},
                           {"helium", "it rotates neighbouring elements of a head"},
                           {"ministral3", "its queries are scaled by their position"},
                           {"dream", "its attention is not causal"},
                           {"llama_bidirec", "its attention is not causal"}};

// Keys that are read, or that have nothing to do with a forward pass.
constexpr std::array<std::string_view, 51> kKnownKeys = {"architectures",
                                                         "model_type",
                                                         "vocab_size",
                                                         "hidden_size",
                                                         "intermediate_size",
                                                         "num_hidden_layers",
                                                         "num_attention_heads",
                                                         "num_key_value_heads",
                                                         "head_dim",
                                                         "hidden_act",
                                                         "hidden_activation",
                                                         "max_position_embeddings",
                                                         "rms_norm_eps",
                                                         "rope_theta",
                                                         "rope_scaling",
                                                         "rope_parameters",
                                                         "attention_bias",
                                                         "mlp_bias",
                                                         "tie_word_embeddings",
                                                         "torch_dtype",
                                                         "dtype",
                                                         "sliding_window",
                                                         "use_sliding_window",
                                                         "max_window_layers",
                                                         "layer_types",
                                                         "original_max_position_embeddings",
                                                         "use_cache",
                                                         "initializer_range",
                                                         "transformers_version",
                                                         "pretraining_tp",
                                                         "auto_map",
                                                         "_name_or_path",
                                                         "name_or_path",
                                                         "quantization_config",
                                                         "partial_rotary_factor",
                                                         "is_causal",
                                                         "is_decoder",
                                                         "add_cross_attention",
                                                         "use_return_dict",
                                                         "return_dict",
                                                         "output_attentions",
                                                         "output_hidden_states",
                                                         "torchscript",
                                                         "id2label",
                                                         "label2id",
                                                         "problem_type",
                                                         "bias",
                                                         "qkv_bias",
                                                         "attention_out_bias",
                                                         "use_bias",
                                                         "tokenizer_class"};

bool IsKnownKey(std::string_view key) {
  return std::find(kKnownKeys.begin(), kKnownKeys.end(), key) != kKnownKeys.end() || key.ends_with("_token_id") ||
         key.find("dropout") != std::string_view::npos || key.find("pdrop") != std::string_view::npos ||
         key.starts_with("unsloth") || key.ends_with("_version");
}

// Parts of the names of keys that ask for arithmetic that Llama does not have.
constexpr std::string_view kForeignWords[] = {"multiplier",
                                              "softcap",
                                              "logit_scal",
                                              "logits_scal",
                                              "scale_emb",
                                              "emb_scale",
                                              "embedding_scale",
                                              "scale_depth",
                                              "residual_scale",
                                              "attn_scal",
                                              "attention_scal",
                                              "softmax_scal",
                                              "query_pre_attn",
                                              "dim_model_base",
                                              "mup",
                                              "attn_temperature",
                                              "attention_temperature",
                                              "clip_qkv",
                                              "qk_norm",
                                              "qk_layernorm",
                                              "query_norm",
                                              "key_norm",
                                              "expert",
                                              "moe",
                                              "alibi",
                                              "parallel_",
                                              "no_rope",
                                              "nope_",
                                              "rotary_pct",
                                              "rotary_dim",
                                              "rotary_percent",
                                              "rotary_emb_base",
                                              "rope_interleav",
                                              "rope_ratio",
                                              "rope_percent",
                                              "rope_pct",
                                              "layer_norm_eps",
                                              "layernorm_eps",
                                              "norm_type",
                                              "norm_after",
                                              "post_norm",
                                              "sandwich",
                                              "lora_rank",
                                              "mamba",
                                              "ssm",
                                              "conv_",
                                              "hybrid",
                                              "chunk",
                                              "cross_attention",
                                              "window",
                                              "attn_output_gate",
                                              "attention_sink",
                                              "gated_attention",
                                              "kv_shar",
                                              "layer_shar",
                                              "shared_layers",
                                              "hyper_connection",
                                              "bidirectional",
                                              "linear_attention",
                                              "mrope",
                                              "depth_scal",
                                              "value_residual"};

// A value that says what Llama does anyway.
bool SaysLlama(const Json& value) {
  if (IsOff(value)) return true;
  const std::string text = value.string() == nullptr ? "" : LowerAscii(*value.string());
  return text.find("rms") != std::string::npos || text == "none" || text == "rope" || text == "full_attention";
}

std::string ForeignKey(const Json& config) {
  if (config.object() == nullptr) return "";
  const Json* const rms_eps = config.Find("rms_norm_eps");
  const bool has_rms_eps = rms_eps != nullptr && !rms_eps->is_null();
  for (const JsonMember& member : *config.object()) {
    const std::string key = LowerAscii(member.key);
    if (IsKnownKey(key)) continue;
    const bool foreign = std::any_of(std::begin(kForeignWords), std::end(kForeignWords),
                                     [&](std::string_view word) { return key.find(word) != std::string::npos; });
    // The eps of a norm under another name may stand beside the one that counts.
    const bool eps = key.find("norm_eps") != std::string::npos || key.find("layernorm_eps") != std::string::npos;
    if (!foreign || SaysLlama(member.value) || (eps && has_rms_eps)) continue;
    return member.key + " is " + member.value.Dump().substr(0, 80) + ", which Llama does not have";
  }
  const Json* const position = config.Find("position_embedding_type");
  if (position != nullptr && position->string() != nullptr && !LowerAscii(*position->string()).starts_with("ro"))
    return "position_embedding_type is " + Quote(*position->string());
  return "";
}

constexpr std::string_view kRequired[] = {
    "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
    "self_attn.o_proj.weight", "mlp.gate_proj.weight",    "mlp.up_proj.weight",
    "mlp.down_proj.weight",    "input_layernorm.weight",  "post_attention_layernorm.weight"};
constexpr std::string_view kOptional[] = {
    "self_attn.q_proj.bias",   "self_attn.k_proj.bias",  "self_attn.v_proj.bias", "self_attn.o_proj.bias",
    "mlp.gate_proj.bias",      "mlp.up_proj.bias",       "mlp.down_proj.bias",    "self_attn.rotary_emb.inv_freq",
    "self_attn.q_norm.weight", "self_attn.k_norm.weight"};

bool IsLlamas(std::string_view rest) {
  return std::find(std::begin(kRequired), std::end(kRequired), rest) != std::end(kRequired) ||
         std::find(std::begin(kOptional), std::end(kOptional), rest) != std::end(kOptional) ||
         rest.ends_with("_scale_inv") || rest.starts_with("self_attn.rotary_emb.");
}

// An output of a run, which is looked at again when it is verified: scales and offsets stand beside its weights. No
// source with such tensors comes here.
bool IsOutput(const Checkpoint& checkpoint) {
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(), [](const CheckpointTensor& tensor) {
    return tensor.name.ends_with(".weight_scale") || tensor.name.ends_with(".deq_scale");
  });
}

// A tensor of some layer that Llama's layers do not have, or lack.
std::string ForeignTensor(const Json& config, const Checkpoint& checkpoint) {
  constexpr std::string_view kLayers = "model.layers.";
  const Json* const count = config.Find("num_hidden_layers");
  const int64_t layers = count == nullptr ? 0 : std::clamp<int64_t>(count->integer().value_or(0), 0, 10000);
  const bool output = IsOutput(checkpoint);
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (output || !tensor.name.starts_with(kLayers)) continue;
    const std::string_view rest = std::string_view(tensor.name).substr(kLayers.size());
    const size_t dot = rest.find('.');
    if (dot == std::string_view::npos || dot > 5) return "it has " + Quote(tensor.name);
    const std::string_view number = rest.substr(0, dot);
    if (number.find_first_not_of("0123456789") != std::string_view::npos) return "it has " + Quote(tensor.name);
    if (std::stoll(std::string(number)) >= layers) continue;  // not of the model: told as a loss
    if (!IsLlamas(rest.substr(dot + 1))) return "it has " + Quote(tensor.name);
  }
  for (int64_t layer = 0; layer < std::max<int64_t>(layers, 1); ++layer) {
    for (const std::string_view name : kRequired) {
      const std::string full = std::string(kLayers) + std::to_string(layer) + "." + std::string(name);
      if (checkpoint.Find(full) == nullptr) return "it has no " + Quote(full);
    }
  }
  return "";
}

}  // namespace

std::string WhyNotLlama(const Json& config, const Checkpoint& checkpoint) {
  const Json* const type = config.Find("model_type");
  if (type != nullptr && type->string() != nullptr) {
    for (const Twin& twin : kTwins) {
      if (LowerAscii(*type->string()) == twin.type) return std::string(twin.difference);
    }
  }
  if (std::string key = ForeignKey(config); !key.empty()) return key;
  return ForeignTensor(config, checkpoint);
}

void TellLlama(const Json& config) {
  std::string unread;
  for (const JsonMember& member : *config.object()) {
    if (!IsKnownKey(member.key) && !IsOff(member.value)) unread += (unread.empty() ? "" : ", ") + member.key;
  }
  const Json* const type = config.Find("model_type");
  const std::string name = type != nullptr && type->string() != nullptr ? *type->string() : "";
  LogWarning("config.json: model_type " + Quote(name) +
             " is not known; all of its layers have Llama's tensors, so it is computed as Llama" +
             (unread.empty() ? "" : ". Keys that are not read: " + unread));
}

}  // namespace modelslim
