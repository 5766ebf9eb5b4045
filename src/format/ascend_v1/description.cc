#include "format/ascend_v1/description.h"

#include <algorithm>
#include <array>

#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "io/json_writer.h"
#include "quant/numbers/mx.h"

namespace modelslim::ascend_v1 {
namespace {

// From low to high. W4A8_DYNAMIC stands in neither order.
constexpr std::array kOrder = {QuantMode::kFloat,           QuantMode::kW16A16S,   QuantMode::kW8A16,
                               QuantMode::kW8A8Dynamic,     QuantMode::kW8A8Mix,   QuantMode::kW8A8,
                               QuantMode::kWFP8AFP8Dynamic, QuantMode::kW8A8MXFP8, QuantMode::kW4A8MXFP,
                               QuantMode::kW4A4Dynamic,     QuantMode::kW4A4MXFP4, QuantMode::kW4A4MXFP4DualScale};
constexpr std::array kOrderDecember = {QuantMode::kFloat,           QuantMode::kW16A16S,   QuantMode::kW8A8,
                                       QuantMode::kW8A8Dynamic,     QuantMode::kW8A8Mix,   QuantMode::kW4A4Dynamic,
                                       QuantMode::kWFP8AFP8Dynamic, QuantMode::kW8A8MXFP8, QuantMode::kW4A8MXFP,
                                       QuantMode::kW4A4MXFP4};

template <size_t N>
std::string Highest(const std::array<QuantMode, N>& order, const std::vector<QuantMode>& modes, const Compat& options) {
  for (size_t i = N; i-- > 0;) {
    if (std::find(modes.begin(), modes.end(), order[i]) != modes.end()) return std::string(TypeName(order[i], options));
  }
  return "Unknown";
}

Json Layers(const std::vector<std::string>& names) {
  JsonArray list(names.begin(), names.end());
  Json object{JsonObject()};
  object["layers"] = Json(std::move(list));
  return object;
}

Json QuarotMetadata(const DescriptionGlobals::Quarot& quarot) {
  Json json{JsonObject()};
  json["max_tp_size"] = Json(quarot.max_tp_size);
  json["heads_rotation"] = Layers(quarot.heads_layers);
  json["kronecker_rotation"] = Layers(quarot.kronecker_layers);
  return json;
}

// What the facts come to, in the order in which the steps planned them.
class FactReader {
 public:
  explicit FactReader(DescriptionGlobals* globals) : globals_(*globals) {}

  void Read(const PlannedFact& fact) {
    module_ = &fact.module;
    std::visit(*this, fact.what);
  }

  void operator()(const PlannedKvScales&) { globals_.kv_c8 = true; }
  void operator()(const PlannedFaScales&) {
    globals_.fa_quant_type = "FAKQuant";
    globals_.extra_entries.emplace_back(*module_ + ".quant_type", "INT8");
  }
  void operator()(const PlannedRotation& rotation) {
    if (rotation.role == RotationRole::kSite) return;
    if (!globals_.quarot) globals_.quarot.emplace().max_tp_size = rotation.max_tp_size;
    if (rotation.role == RotationRole::kHeads) globals_.quarot->heads_layers.push_back(*module_);
    if (rotation.role == RotationRole::kKroneckerLeft) globals_.quarot->kronecker_layers.push_back(*module_);
  }
  void operator()(const PlannedGlobalRotation&) { globals_.global_rotation_file = kRotationFile; }

 private:
  DescriptionGlobals& globals_;
  const std::string* module_ = nullptr;
};

}  // namespace

std::string ModelQuantType(const std::vector<QuantMode>& modes, const Compat& options) {
  return options.december_2025 ? Highest(kOrderDecember, modes, options) : Highest(kOrder, modes, options);
}

DescriptionGlobals GlobalsOf(const WrittenModel& model, const Compat& options) {
  DescriptionGlobals globals;
  std::vector<QuantMode> modes;
  for (const WrittenModel::Linear& linear : model.linears) {
    modes.push_back(linear.mode);
    // The last writer wins, as in the reference; only grouped types write.
    const Grouping grouping = RowOf(linear.mode).grouping;
    if (grouping == Grouping::kMx || grouping == Grouping::kDualScale) {
      globals.group_size = kMxBlock;
    } else if (linear.group_size > 0) {
      globals.group_size = linear.group_size;
    }
  }
  if (model.linears_outside && !options.december_2025) modes.push_back(QuantMode::kFloat);
  globals.model_quant_type = model.type.empty() ? ModelQuantType(modes, options) : model.type;
  FactReader reader(&globals);
  for (const PlannedFact& fact : model.facts) reader.Read(fact);
  return globals;
}

namespace {

// modelslim_v0 puts what it says of the model first, and has no metadata.
std::string V0DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals) {
  std::string text;
  JsonWriter json(&text, 2);
  json.BeginObject();
  json.Member("version", "1.0.0");
  json.Member("model_quant_type", globals.model_quant_type);
  if (globals.kv_c8) {
    json.Member("kv_cache_type", kCacheType);
    json.Member("kv_quant_type", kCacheType);
  }
  if (globals.group_size > 0) {
    json.Key("group_size");
    json.Int(globals.group_size);
  }
  for (const OutputTensor& tensor : layout.tensors) {
    if (!tensor.type.empty()) json.Member(tensor.name, tensor.type);
  }
  json.EndObject();
  return text;
}

}  // namespace

std::string DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals, const Compat& options) {
  if (options.v0) return V0DescriptionJson(layout, globals);
  std::string text;
  JsonWriter json(&text, 4);
  json.BeginObject();
  for (const OutputTensor& tensor : layout.tensors) {
    if (!tensor.type.empty()) json.Member(tensor.name, tensor.type);
  }
  for (const auto& [name, value] : globals.extra_entries) json.Member(name, value);
  if (globals.kv_c8) {
    json.Member("kv_cache_type", kCacheType);
    json.Member("kv_quant_type", kCacheType);
  }
  if (!globals.fa_quant_type.empty()) json.Member("fa_quant_type", globals.fa_quant_type);
  json.Member("version", "1.0.0");
  json.Member("model_quant_type", globals.model_quant_type);
  Json metadata{JsonObject()};
  if (globals.quarot) metadata["quarot"] = QuarotMetadata(*globals.quarot);
  json.Key("metadata");
  json.Value(metadata);
  json.Key("group_size");
  json.Int(globals.group_size);
  if (!options.december_2025) {
    Json optional{JsonObject()};
    if (!globals.global_rotation_file.empty()) {
      optional["quarot"]["rotation_map"]["global_rotation"] = Json(globals.global_rotation_file);
    }
    json.Key("optional");
    json.Value(optional);
  }
  json.EndObject();
  return text;
}

}  // namespace modelslim::ascend_v1
