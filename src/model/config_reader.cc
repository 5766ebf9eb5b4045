#include "model/config_reader.h"

#include <cmath>

#include "io/checkpoint.h"
#include "model/checkpoint_facts.h"

namespace modelslim {
namespace {

constexpr int64_t kLargestSize = int64_t{1} << 24;

double ReadPositive(const JsonRef& value) {
  const double number = value.AsDouble();
  if (!std::isfinite(number) || number <= 0) value.Fail("a positive number");
  return number;
}

// Key `key` as a positive number, or nothing.
std::optional<double> PositiveIfPresent(const JsonRef& object, std::string_view key) {
  const JsonRef value = object[key];
  return value ? std::optional<double>(ReadPositive(value)) : std::nullopt;
}

// rope_type, or in older files type; nothing means default.
RopeType ReadRopeType(const JsonRef& scaling) {
  const JsonRef value = scaling["rope_type"] ? scaling["rope_type"] : scaling["type"];
  if (!value) return RopeType::kDefault;
  const std::optional<RopeType> type = ParseRopeType(value.AsString());
  if (!type) {
    throw Error(ErrorCode::kUnsupported, value.where() +
                                             ": expected default, linear, dynamic, llama3, yarn or longrope, found \"" +
                                             value.AsString() + "\"");
  }
  return *type;
}

void ReadYarn(const JsonRef& scaling, RopeConfig* rope) {
  rope->beta_fast = PositiveIfPresent(scaling, "beta_fast").value_or(32);
  rope->beta_slow = PositiveIfPresent(scaling, "beta_slow").value_or(1);
  rope->truncate = scaling["truncate"].BoolOr(true);
  if (scaling["mscale"]) rope->mscale = scaling["mscale"].AsDouble();
  if (scaling["mscale_all_dim"]) rope->mscale_all_dim = scaling["mscale_all_dim"].AsDouble();
}

void ReadLongRope(const JsonRef& scaling, RopeConfig* rope) {
  rope->short_factor = scaling["short_factor"].AsDoubles();
  rope->long_factor = scaling["long_factor"].AsDoubles();
  const auto pairs = static_cast<size_t>(rope->dim / 2);
  for (const char* const key : {"short_factor", "long_factor"}) {
    const std::vector<double> values = scaling[key].AsDoubles();
    if (values.size() != pairs) scaling[key].Fail("a list of " + std::to_string(pairs) + " numbers");
    for (size_t i = 0; i < values.size(); ++i) ReadPositive(scaling[key].at(i));
  }
}

}  // namespace

int64_t ReadSize(const JsonRef& config, std::string_view key) { return config[key].AsInt(1, kLargestSize); }

int64_t ReadSizeOr(const JsonRef& config, std::string_view key, int64_t fallback) {
  return config[key] ? ReadSize(config, key) : fallback;
}

DType ReadModelDType(const JsonRef& config, const Checkpoint& checkpoint) {
  const JsonRef value = config["torch_dtype"] ? config["torch_dtype"] : config["dtype"];
  if (value && value.AsString() != "auto") {
    std::string name = value.AsString();
    if (name.starts_with("torch.")) name = name.substr(6);
    if (name == "bfloat16") return DType::kBF16;
    if (name == "float16" || name == "half") return DType::kF16;
    if (name == "float32" || name == "float") return DType::kF32;
    throw Error(ErrorCode::kUnsupported,
                value.where() + ": expected bfloat16, float16 or float32, found \"" + name + "\"");
  }
  return FirstFloatDType(checkpoint);
}

RopeConfig ReadRope(const JsonRef& config, int64_t dim, double default_theta) {
  const JsonRef scaling = config["rope_scaling"] ? config["rope_scaling"] : config["rope_parameters"];
  if (dim % 2 != 0) config["head_dim"].Fail("an even number of rotated elements of a head, not " + std::to_string(dim));
  RopeConfig rope;
  rope.dim = dim;
  const JsonRef theta = config["rope_theta"] ? config["rope_theta"] : scaling["rope_theta"];
  rope.theta = theta ? ReadPositive(theta) : default_theta;
  rope.max_position = ReadSizeOr(config, "max_position_embeddings", 2048);
  if (!scaling) return rope;
  rope.type = ReadRopeType(scaling);
  if (rope.type == RopeType::kDefault) return rope;
  const JsonRef original = scaling["original_max_position_embeddings"] ? scaling["original_max_position_embeddings"]
                                                                       : config["original_max_position_embeddings"];
  if (original) rope.original_max_position = original.AsInt(1, kLargestSize);
  const std::optional<double> factor = PositiveIfPresent(scaling, "factor");
  if (!factor && rope.type != RopeType::kLongRope) scaling["factor"].Fail("a positive number");
  rope.factor = factor.value_or(rope.original_max_position ? static_cast<double>(rope.max_position) /
                                                                 static_cast<double>(*rope.original_max_position)
                                                           : 1.0);
  rope.attention_factor = PositiveIfPresent(scaling, "attention_factor");
  if (rope.type == RopeType::kLlama3) {
    if (!rope.original_max_position) scaling["original_max_position_embeddings"].Fail("an integer");
    rope.low_freq_factor = ReadPositive(scaling["low_freq_factor"]);
    rope.high_freq_factor = ReadPositive(scaling["high_freq_factor"]);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      scaling["high_freq_factor"].Fail("a number above low_freq_factor");
  }
  if (rope.type == RopeType::kYarn) ReadYarn(scaling, &rope);
  if (rope.type == RopeType::kLongRope) ReadLongRope(scaling, &rope);
  return rope;
}

Activation ReadActivation(const JsonRef& config) {
  const JsonRef value = config["hidden_act"] ? config["hidden_act"] : config["hidden_activation"];
  if (!value) return Activation::kSilu;
  const std::optional<Activation> act = ParseActivation(value.AsString());
  if (!act) {
    throw Error(
        ErrorCode::kUnsupported,
        value.where() + ": expected silu or another activation that we compute, found \"" + value.AsString() + "\"");
  }
  return *act;
}

DecoderSizes ReadDecoderSizes(const JsonRef& config, int64_t default_head_dim) {
  DecoderSizes sizes;
  sizes.vocab = ReadSize(config, "vocab_size");
  sizes.hidden = ReadSize(config, "hidden_size");
  sizes.layers = config["num_hidden_layers"].AsInt(1, 10000);
  sizes.heads = config["num_attention_heads"].AsInt(1, 65536);
  sizes.kv_heads = config["num_key_value_heads"] ? config["num_key_value_heads"].AsInt(1, 65536) : sizes.heads;
  if (sizes.heads % sizes.kv_heads != 0) {
    config["num_key_value_heads"].Fail("a divisor of num_attention_heads (" + std::to_string(sizes.heads) + ")");
  }
  if (config["head_dim"]) {
    sizes.head_dim = config["head_dim"].AsInt(1, 65536);
  } else if (default_head_dim > 0) {
    sizes.head_dim = default_head_dim;
  } else {
    if (sizes.hidden % sizes.heads != 0) {
      config["hidden_size"].Fail("a multiple of num_attention_heads (" + std::to_string(sizes.heads) + ")");
    }
    sizes.head_dim = sizes.hidden / sizes.heads;
  }
  if (config["rms_norm_eps"]) sizes.eps = ReadPositive(config["rms_norm_eps"]);
  return sizes;
}

void RefuseSlidingWindow(const JsonRef& config, bool window_key_alone_counts) {
  const JsonRef use = config["use_sliding_window"];
  const bool on = use ? use.AsBool() : window_key_alone_counts && config["sliding_window"].present();
  if (!on) return;
  const JsonRef culprit = use ? use : config["sliding_window"];
  throw Error(
      ErrorCode::kUnsupported,
      culprit.where() + ": expected no sliding window, found one in use (" + culprit.value()->Dump() + ")",
      "attention windows are not computed; if no calibration text is longer than the window, set the key to null");
}

void RefuseKeys(const JsonRef& config, std::initializer_list<const char*> keys) {
  for (const char* const key : keys) {
    const JsonRef value = config[key];
    if (!value) continue;
    const std::optional<double> number = value.value()->number();
    const std::optional<bool> flag = value.value()->boolean();
    if ((number && (*number == 0 || *number == 1)) || (flag && !*flag)) continue;
    throw Error(ErrorCode::kUnsupported, value.where() + ": expected it to be absent, found " + value.value()->Dump() +
                                             ", which changes the forward pass in a way that is not computed here");
  }
}

bool ReadTied(const JsonRef& config, const Checkpoint& checkpoint, bool default_tied) {
  return config["tie_word_embeddings"].BoolOr(default_tied) && !HasTensor(checkpoint, "lm_head.weight");
}

}  // namespace modelslim
