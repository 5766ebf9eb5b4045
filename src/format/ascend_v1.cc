#include "format/ascend_v1.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "io/json.h"

namespace modelslim {
namespace {

constexpr int64_t kMxBlock = 32, kMaxTensorParallel = 16;

// Collects the tensors of one linear.
class Builder {
 public:
  Builder(const PlannedLinear& linear, const Compat& compat) : linear_(linear), compat_(compat) {}

  void Add(std::string_view suffix, DType dtype, Shape shape) {
    tensors_.push_back({linear_.name + "." + std::string(suffix), dtype, std::move(shape),
                        std::string(QuantModeName(linear_.mode)), 0, 0, 0});
  }

  // [out, 1], or [out, in/g] with groups.
  void AddWeightScales() {
    const int64_t columns = linear_.group_size > 0 ? linear_.in / linear_.group_size : 1;
    Add("weight_scale", DType::kF32, {linear_.out, columns});
    Add("weight_offset", DType::kF32, {linear_.out, columns});
  }

  void AddStatic(DType model_dtype) {
    Add("weight", DType::kI8, {linear_.out, linear_.in});
    Add("quant_bias", DType::kI32, {linear_.out});
    Add("input_scale", DType::kF32, {1});
    Add("input_offset", DType::kF32, {1});
    Add("deq_scale", DeqScaleAsI64(model_dtype, compat_) ? DType::kI64 : DType::kF32, {linear_.out});
  }

  // Quantized layers store their bias as f32, typed FLOAT (December 2025: as the layer).
  void AddBias(bool own_type = false) {
    if (!linear_.has_bias) return;
    Add("bias", DType::kF32, {linear_.out});
    if (!compat_.december_2025 && !own_type) tensors_.back().type = "FLOAT";
  }

  void AddFloat() {
    Add("weight", linear_.weight_dtype, {linear_.out, linear_.in});
    if (linear_.has_bias) Add("bias", linear_.bias_dtype, {linear_.out});
  }

  std::vector<OutputTensor> Take() { return std::move(tensors_); }

 private:
  const PlannedLinear& linear_;
  const Compat& compat_;
  std::vector<OutputTensor> tensors_;
};

void Require(bool fits, const PlannedLinear& linear, const std::string& what, int64_t found) {
  if (fits) return;
  throw Error(ErrorCode::kUnsupported,
              linear.name + ": " + std::string(QuantModeName(linear.mode)) + " needs " + what + ", found " +
                  std::to_string(found),
              "exclude this layer in the recipe, or give it another type");
}

void CheckShape(const PlannedLinear& linear, const Compat& compat) {
  switch (linear.mode) {
    case QuantMode::kW4A8Dynamic:
      Require(linear.out % 2 == 0, linear, "an even number of output features", linear.out);
      if (ScaleBiasForm(linear.name, compat) == ScaleBias::kSixteenChunks) {
        Require(linear.in % kMaxTensorParallel == 0, linear, "input features that 16 divides", linear.in);
      }
      break;
    case QuantMode::kW4A8MXFP:
    case QuantMode::kW4A4MXFP4:
    case QuantMode::kW4A4MXFP4DualScale:
      Require(linear.in % 2 == 0, linear, "an even number of input features", linear.in);
      break;
    default: break;
  }
  if (linear.group_size > 0) {
    Require(linear.in % linear.group_size == 0, linear,
            "input features that the group size " + std::to_string(linear.group_size) + " divides", linear.in);
  }
}

// From low to high. W4A8_DYNAMIC stands in neither order.
constexpr std::array kOrder = {QuantMode::kFloat,          QuantMode::kW16A16S,   QuantMode::kW8A16,
                               QuantMode::kW8A8Dynamic,    QuantMode::kW8A8Mix,   QuantMode::kW8A8,
                               QuantMode::kWFP8AFP8Dynamic, QuantMode::kW8A8MXFP8, QuantMode::kW4A8MXFP,
                               QuantMode::kW4A4Dynamic,    QuantMode::kW4A4MXFP4, QuantMode::kW4A4MXFP4DualScale};
constexpr std::array kOrderDecember = {QuantMode::kFloat,       QuantMode::kW16A16S,         QuantMode::kW8A8,
                                       QuantMode::kW8A8Dynamic, QuantMode::kW8A8Mix,         QuantMode::kW4A4Dynamic,
                                       QuantMode::kWFP8AFP8Dynamic, QuantMode::kW8A8MXFP8, QuantMode::kW4A8MXFP,
                                       QuantMode::kW4A4MXFP4};

template <size_t N>
std::string Highest(const std::array<QuantMode, N>& order, const std::vector<QuantMode>& modes) {
  for (size_t i = N; i-- > 0;) {
    if (std::find(modes.begin(), modes.end(), order[i]) != modes.end()) return std::string(QuantModeName(order[i]));
  }
  return "Unknown";
}

void WriteQuarot(JsonWriter& json, const DescriptionGlobals::Quarot& quarot) {
  const auto layers = [&json](std::string_view key, const std::vector<std::string>& names) {
    json.Key(key).BeginObject().Key("layers").BeginArray();
    for (const std::string& name : names) json.String(name);
    json.EndArray().EndObject();
  };
  json.Key("quarot").BeginObject().Key("max_tp_size").Int(quarot.max_tp_size);
  layers("heads_rotation", quarot.heads_layers);
  layers("kronecker_rotation", quarot.kronecker_layers);
  json.EndObject();
}

}  // namespace

bool DeqScaleAsI64(DType model_dtype, const Compat& compat) {
  return !compat.december_2025 && model_dtype != DType::kBF16;
}

ScaleBias ScaleBiasForm(const std::string& name, const Compat& compat) {
  const auto has_any = [&name](std::initializer_list<std::string_view> parts) {
    return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return name.find(part) != std::string::npos; });
  };
  if (has_any({"up_proj", "gate_proj", "q_proj", "k_proj", "v_proj"})) return ScaleBias::kPerRow;
  if (!compat.december_2025 && has_any({"w1", "w3"})) return ScaleBias::kPerRow;
  if (has_any({"down_proj", "o_proj"})) return ScaleBias::kSixteenChunks;
  if (!compat.december_2025 && has_any({"w2"})) return ScaleBias::kSixteenChunks;
  return ScaleBias::kUnreduced;
}

std::vector<OutputTensor> AscendTensors(const PlannedLinear& linear, DType model_dtype, const Compat& compat) {
  CheckShape(linear, compat);
  const int64_t out = linear.out, in = linear.in, blocks = (in + kMxBlock - 1) / kMxBlock;
  Builder build(linear, compat);
  switch (linear.mode) {
    case QuantMode::kFloat:
    case QuantMode::kW16A16S:
      build.AddFloat();
      break;
    case QuantMode::kW8A8:
      build.AddStatic(model_dtype);
      build.AddBias();
      break;
    case QuantMode::kW8A8Mix:
      build.AddStatic(model_dtype);
      build.AddWeightScales();
      build.AddBias();
      break;
    case QuantMode::kW8A8Dynamic:
    case QuantMode::kW8A16:
    case QuantMode::kW4A4Dynamic:
      build.Add("weight", DType::kI8, {out, in});
      build.AddWeightScales();
      build.AddBias();
      break;
    case QuantMode::kW4A8Dynamic: {
      build.Add("weight", DType::kI8, {out / 2, in});
      build.AddWeightScales();
      const ScaleBias form = ScaleBiasForm(linear.name, compat);
      const int64_t columns = form == ScaleBias::kPerRow ? 1 : form == ScaleBias::kSixteenChunks ? kMaxTensorParallel : in;
      build.Add("scale_bias", DType::kF32, {out, columns});
      build.AddBias();
      break;
    }
    case QuantMode::kWFP8AFP8Dynamic:
      build.Add("weight", DType::kF8E4M3, {out, in});
      build.AddWeightScales();
      build.AddBias();
      break;
    case QuantMode::kW8A8MXFP8:
      build.Add("weight", DType::kF8E4M3, {out, in});
      build.Add("weight_scale", DType::kU8, {out, blocks});
      if (!compat.december_2025) build.AddBias();
      break;
    case QuantMode::kW4A8MXFP:
    case QuantMode::kW4A4MXFP4:
      if (compat.december_2025) {
        build.Add("weight", DType::kF8E4M3, {out, in});
      } else {
        build.Add("weight", DType::kU8, {out, in / 2});
      }
      build.Add("weight_scale", DType::kU8, {out, blocks});
      if (!compat.december_2025) build.AddBias();
      break;
    case QuantMode::kW4A4MXFP4DualScale:
      build.Add("weight", DType::kU8, {out, in / 2});
      build.Add("weight_scale", DType::kU8, {out, blocks});
      build.Add("weight_dual_scale", DType::kF32, {out, in / linear.group_size, 1});
      build.AddBias(/*own_type=*/true);
      break;
  }
  return build.Take();
}

std::string ModelQuantType(const std::vector<QuantMode>& modes, const Compat& compat) {
  return compat.december_2025 ? Highest(kOrderDecember, modes) : Highest(kOrder, modes);
}

std::string DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals, const Compat& compat) {
  JsonWriter json(4);
  json.BeginObject();
  for (const OutputTensor& tensor : layout.tensors) {
    if (!tensor.type.empty()) json.Key(tensor.name).String(tensor.type);
  }
  for (const auto& [name, value] : globals.extra_entries) json.Key(name).String(value);
  if (globals.kv_c8) json.Key("kv_cache_type").String("C8").Key("kv_quant_type").String("C8");
  if (!globals.fa_quant_type.empty()) json.Key("fa_quant_type").String(globals.fa_quant_type);
  json.Key("version").String("1.0.0");
  json.Key("model_quant_type").String(globals.model_quant_type);
  json.Key("metadata").BeginObject();
  if (globals.quarot) WriteQuarot(json, *globals.quarot);
  json.EndObject();
  json.Key("group_size").Int(globals.group_size);
  if (!compat.december_2025) {
    json.Key("optional").BeginObject();
    if (!globals.global_rotation_file.empty()) {
      json.Key("quarot").BeginObject().Key("rotation_map").BeginObject();
      json.Key("global_rotation").String(globals.global_rotation_file).EndObject().EndObject();
    }
    json.EndObject();
  }
  if (!globals.indexer_quant_type.empty()) json.Key("indexer_quant_type").String(globals.indexer_quant_type);
  json.EndObject();
  return json.Take();
}

}  // namespace modelslim
