#include "model/config_reader.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "io/checkpoint.h"
#include "model/checkpoint_facts.h"

namespace modelslim {
namespace {

std::string DTypeText(const JsonRef& value) {
  const std::string& name = value.AsString();
  return name.starts_with("torch.") ? name.substr(6) : name;
}

}  // namespace

int64_t ReadSize(const JsonRef& config, std::string_view key) { return config[key].AsInt(1, kLargestSize); }

int64_t ReadSizeOr(const JsonRef& config, std::string_view key, int64_t fallback) {
  return config[key] ? ReadSize(config, key) : fallback;
}

double ReadPositive(const JsonRef& value) {
  const double number = value.AsDouble();
  if (!std::isfinite(number) || number <= 0) value.Fail("a positive number");
  return number;
}

double PositiveOr(const JsonRef& value, double fallback) { return value ? ReadPositive(value) : fallback; }

void TellDisagreement(const JsonRef& used, const JsonRef& other) {
  if (!used || !other) return;
  const std::string one = used.value()->Dump(), two = other.value()->Dump();
  const std::optional<double> a = used.value()->number(), b = other.value()->number();
  if (one == two || (a && b && *a == *b)) return;
  LogWarning(used.where() + " (" + one + ") and " + other.where() + " (" + two +
             ") disagree; the first one is used. Remove the one that is wrong");
}

JsonRef FirstOf(const JsonRef& object, std::initializer_list<const char*> keys) {
  std::vector<JsonRef> found;
  for (const char* const key : keys) {
    if (object[key]) found.push_back(object[key]);
  }
  for (const JsonRef& other : found) TellDisagreement(found.front(), other);
  return found.empty() ? object[*keys.begin()] : found.front();
}

DType ReadModelDType(const JsonRef& config, const Checkpoint& checkpoint) {
  const JsonRef newer = config["dtype"], older = config["torch_dtype"];
  if (newer && older && DTypeText(newer) != DTypeText(older)) TellDisagreement(newer, older);
  const JsonRef value = newer ? newer : older;
  if (!value || value.AsString() == "auto") return FirstFloatDType(checkpoint);
  const std::string name = DTypeText(value);
  if (name == "bfloat16") return DType::kBF16;
  if (name == "float16" || name == "half") return DType::kF16;
  if (name == "float32" || name == "float") return DType::kF32;
  throw Error(ErrorCode::kUnsupported,
              value.where() + ": expected bfloat16, float16 or float32, found \"" + name + "\"");
}

std::vector<std::string> ReadLayerTypes(const JsonRef& config, int64_t layers) {
  const JsonRef list = config["layer_types"];
  if (!list) return {};
  std::vector<std::string> types = list.AsStrings();
  if (static_cast<int64_t>(types.size()) != layers) {
    list.Fail("one entry for each of " + std::to_string(layers) + " layers (num_hidden_layers), not " +
              std::to_string(types.size()));
  }
  return types;
}

Activation ReadActivation(const JsonRef& config) {
  const JsonRef value = FirstOf(config, {"hidden_act", "hidden_activation"});
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

void RequireLayerTypes(const JsonRef& config, std::initializer_list<std::string_view> kinds) {
  if (!config["layer_types"]) return;
  for (const std::string& kind : config["layer_types"].AsStrings()) {
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) continue;
    std::string expected;
    for (const std::string_view each : kinds) expected += (expected.empty() ? "" : " or ") + std::string(each);
    throw Error(ErrorCode::kUnsupported,
                config["layer_types"].where() + ": expected " + expected + ", found \"" + kind + "\"");
  }
}

std::optional<AttentionWindow> ReadWindow(const JsonRef& config, int64_t layers, const WindowRules& rules) {
  const JsonRef use = config["use_sliding_window"], size = config["sliding_window"];
  if (use && !use.AsBool()) return std::nullopt;
  const bool absent = size.value() == nullptr;  // null means that there is none
  if (!size && !(absent && rules.default_size > 0 && (use || rules.always))) return std::nullopt;
  bool windowed = rules.always;
  if (!windowed && config["layer_types"]) {
    const std::vector<std::string> types = config["layer_types"].AsStrings();
    windowed = std::find(types.begin(), types.end(), "sliding_attention") != types.end();
  } else if (!windowed && use) {
    windowed = !rules.first_layer_key || config[rules.first_layer_key].IntOr(0) < layers;
  }
  if (!windowed) return std::nullopt;
  AttentionWindow window;
  window.tokens = size ? size.AsInt(1, int64_t{1} << 40) : rules.default_size;
  window.where = size.where() + (size ? "" : " (absent, so " + std::to_string(window.tokens) + ")");
  return window;
}

bool IsOff(const Json& value) {
  const std::optional<double> number = value.number();
  const std::optional<bool> flag = value.boolean();
  if (value.is_null() || (flag && !*flag) || (number && (*number == 0 || *number == 1))) return true;
  if (const JsonArray* const list = value.array()) return list->empty();
  if (const JsonObject* const object = value.object()) return object->empty();
  return value.string() != nullptr && value.string()->empty();
}

void RefuseKeys(const JsonRef& config, std::initializer_list<const char*> keys) {
  for (const char* const key : keys) {
    const JsonRef value = config[key];
    if (value && !IsOff(*value.value())) RefuseKey(value);
  }
}

void RefuseKey(const JsonRef& value) {
  throw Error(ErrorCode::kUnsupported, value.where() + ": expected it to be absent, found " +
                                           value.value()->Dump().substr(0, 80) +
                                           ", which changes the forward pass in a way that is not computed here");
}

bool ReadTied(const JsonRef& config, const Checkpoint& checkpoint, bool default_tied) {
  return config["tie_word_embeddings"].BoolOr(default_tied) && !HasTensor(checkpoint, "lm_head.weight");
}

}  // namespace modelslim
