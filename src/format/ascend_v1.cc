#include "format/ascend_v1.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "io/json_writer.h"
#include "quant/weights/pack.h"

namespace modelslim {
namespace {

constexpr int64_t kMxBlock = 32, kMaxTensorParallel = 16;

// Collects the tensors of one linear.
class Builder {
 public:
  Builder(const PlannedLinear& linear, const Compat& compat) : linear_(linear), compat_(compat) {}

  void Add(std::string_view suffix, DType dtype, Shape shape) {
    tensors_.push_back({linear_.name + "." + std::string(suffix), dtype, std::move(shape),
                        std::string(TypeName(linear_.mode, compat_)), 0, 0, 0});
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

void CheckShape(const PlannedLinear& linear) {
  switch (linear.mode) {
    case QuantMode::kW4A8Dynamic:
      Require(linear.out % 2 == 0, linear, "an even number of output features", linear.out);
      if (ScaleBiasShapeOf(linear.name) == ScaleBiasShape::kSixteenths) {
        Require(linear.in % kMaxTensorParallel == 0, linear, "input features that 16 divides", linear.in);
      }
      break;
    case QuantMode::kW4A8MXFP:
    case QuantMode::kW4A4MXFP4:
    case QuantMode::kW4A4MXFP4DualScale:
      Require(linear.in % 2 == 0, linear, "an even number of input features", linear.in);
      break;
    default:
      break;
  }
  if (linear.group_size > 0) {
    Require(linear.in % linear.group_size == 0, linear,
            "input features that the group size " + std::to_string(linear.group_size) + " divides", linear.in);
  }
}

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
std::string Highest(const std::array<QuantMode, N>& order, const std::vector<QuantMode>& modes, const Compat& compat) {
  for (size_t i = N; i-- > 0;) {
    if (std::find(modes.begin(), modes.end(), order[i]) != modes.end()) return std::string(TypeName(order[i], compat));
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

}  // namespace

bool DeqScaleAsI64(DType model_dtype, const Compat& compat) {
  return !compat.december_2025 && model_dtype != DType::kBF16;
}

std::vector<OutputTensor> AscendTensors(const PlannedLinear& linear, DType model_dtype, const Compat& compat) {
  CheckShape(linear);
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
      const ScaleBiasShape form = ScaleBiasShapeOf(linear.name);
      const int64_t columns = form == ScaleBiasShape::kRow          ? 1
                              : form == ScaleBiasShape::kSixteenths ? kMaxTensorParallel
                                                                    : in;
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

std::string_view TypeName(QuantMode mode, const Compat& compat) {
  return mode == QuantMode::kWFP8AFP8Dynamic && compat.fp8_for_vllm ? kFp8TypeOfVllm : QuantModeName(mode);
}

std::string ModelQuantType(const std::vector<QuantMode>& modes, const Compat& compat) {
  return compat.december_2025 ? Highest(kOrderDecember, modes, compat) : Highest(kOrder, modes, compat);
}

std::string DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals, const Compat& compat) {
  std::string text;
  JsonWriter json(&text, 4);
  json.BeginObject();
  for (const OutputTensor& tensor : layout.tensors) {
    if (!tensor.type.empty()) json.Member(tensor.name, tensor.type);
  }
  for (const auto& [name, value] : globals.extra_entries) json.Member(name, value);
  if (globals.kv_c8) {
    json.Member("kv_cache_type", "C8");
    json.Member("kv_quant_type", "C8");
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
  if (!compat.december_2025) {
    Json optional{JsonObject()};
    if (!globals.global_rotation_file.empty()) {
      optional["quarot"]["rotation_map"]["global_rotation"] = Json(globals.global_rotation_file);
    }
    json.Key("optional");
    json.Value(optional);
  }
  if (!globals.indexer_quant_type.empty()) json.Member("indexer_quant_type", globals.indexer_quant_type);
  json.EndObject();
  return text;
}

}  // namespace modelslim
