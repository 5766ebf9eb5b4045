#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "base/error.h"
#include "format/ascend_v1/checks.h"
#include "format/ascend_v1/description.h"
#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "format/pack.h"

namespace modelslim::ascend_v1 {
namespace {

// No part of a layer, whose tensors all have a type.
bool IsTableName(std::string_view name) {
  constexpr std::string_view kParts[] = {".weight", ".bias", "scale", "offset", ".quant_bias"};
  return std::none_of(std::begin(kParts), std::end(kParts),
                      [&](std::string_view part) { return name.ends_with(part); });
}

bool IsGlobalKey(const std::string& key) {
  static const std::set<std::string> keys = {"version",     "model_quant_type",  "metadata",      "group_size",
                                             "optional",    "kv_cache_type",     "kv_quant_type", "fa_quant_type",
                                             "is_rot_used", "indexer_quant_type"};
  return keys.count(key) > 0 || key.ends_with(".quant_type");
}

// Rotation matrices stand in the weight files only.
bool IsUnlisted(const std::string& name) {
  for (const std::string_view end : {kHeadsRotation, kKroneckerLeft, kKroneckerRight}) {
    if (name.ends_with("." + std::string(end))) return true;
  }
  return false;
}

std::string Form(DType dtype, const Shape& shape) { return fmt::format("{} {}", DTypeName(dtype), ShapeText(shape)); }

class LinearChecker {
 public:
  LinearChecker(const AscendOutput& output, Problems& problems) : output_(output), problems_(problems) {}

  std::vector<SavedLinear> Run() {
    for (const std::string& warning : output_.weights().warnings()) problems_.Add(warning);
    std::vector<std::pair<std::string, std::string>> plain;
    for (const JsonMember& member : *output_.description().object()) {
      if (IsGlobalKey(member.key)) continue;
      const std::string* type = member.value.string();
      if (type == nullptr) {
        problems_.Add(fmt::format("{}: {}: expected a type, found {}", kDescriptionFile, member.key,
                                  JsonKindText(member.value.kind())));
      } else if (output_.weights().Find(member.key) == nullptr) {
        problems_.Add(fmt::format("{} lists {}, which no weight file holds", kDescriptionFile, member.key));
      } else if (member.key.ends_with(".weight") && QuantizedRowOf(*type) != nullptr) {
        CheckLinear(member.key.substr(0, member.key.size() - std::string_view(".weight").size()), *type);
      } else {
        plain.emplace_back(member.key, *type);
      }
    }
    for (const auto& [name, type] : plain) {
      if (accounted_.count(name) == 0) CheckPlain(name, type);
    }
    for (const CheckpointTensor& tensor : output_.weights().tensors()) {
      if (output_.description().Find(tensor.name) == nullptr && !IsUnlisted(tensor.name)) {
        problems_.Add(fmt::format("{} is in the weight files but not in {}", tensor.name, kDescriptionFile));
      }
    }
    return std::move(linears_);
  }

 private:
  const CheckpointTensor* Part(const std::string& linear, std::string_view suffix) const {
    return output_.weights().Find(linear + "." + std::string(suffix));
  }

  // A tensor of no quantized linear: a float, or a scale of the cache or of attention.
  void CheckPlain(const std::string& name, const std::string& type) {
    const CheckpointTensor& tensor = *output_.weights().Find(name);
    if (type == QuantModeName(QuantMode::kFloat) || type == QuantModeName(QuantMode::kW16A16S)) {
      // Tables (which expert takes which token) are copied, and hold whole numbers.
      const bool table = (tensor.dtype == DType::kI64 || tensor.dtype == DType::kI32) && IsTableName(name);
      if (!IsFloat(tensor.dtype) && !table) {
        problems_.Add(fmt::format("{}: {} means a float tensor, found {}", name, type, DTypeName(tensor.dtype)));
      }
    } else if (type == kCacheType || type == kAttentionType) {
      CheckAttentionPart(tensor);
    } else if (QuantizedRowOf(type) != nullptr) {
      problems_.Add(fmt::format("{}: no layer of type {} has such a tensor", name, type));
    } else {
      problems_.Add(fmt::format("{}: '{}' is not a known type", name, type));
    }
  }

  // A.k_proj.kv_cache_scale and _offset: one value per output of the projection. A.fa_k.scale and .offset: [heads, 1].
  void CheckAttentionPart(const CheckpointTensor& tensor) {
    const size_t dot = tensor.name.rfind('.');
    const std::string module = tensor.name.substr(0, dot), last = tensor.name.substr(dot + 1);
    const bool cache = last.starts_with("kv_cache_");
    Shape expected = {tensor.size(), 1};
    if (cache) {
      expected = {tensor.size()};
      if (const CheckpointTensor* const weight = Part(module, "weight")) expected = {RowsOf(*weight)};
    }
    if (tensor.shape != expected) {
      problems_.Add(
          fmt::format("{}: expected shape {}, found {}", tensor.name, ShapeText(expected), ShapeText(tensor.shape)));
    } else if (last.ends_with("scale")) {
      CheckScale(tensor);
    }
  }

  // Output features; a packed weight has two of them in a row.
  int64_t RowsOf(const CheckpointTensor& weight) const {
    const Json* const type = output_.description().Find(weight.name);
    const ModeRow* const rule =
        type != nullptr && type->string() != nullptr ? QuantizedRowOf(*type->string()) : nullptr;
    const int64_t rows = weight.shape.empty() ? 0 : weight.shape.front();
    if (rule != nullptr && rule->packing == Packing::kAny) {
      const CheckpointTensor* const scale = output_.weights().Find(weight.name + "_scale");
      return scale == nullptr || scale->shape.empty() ? rows : scale->shape.front();
    }
    return rule != nullptr && rule->packing == Packing::kRowPairs ? 2 * rows : rows;
  }

  // Columns of scales tell the size of a group, where the type may have groups.
  static int64_t GroupSize(const CheckpointTensor* scales, int64_t in) {
    if (scales == nullptr || scales->shape.size() < 2) return 0;
    const int64_t columns = scales->shape[1];
    return columns > 1 && in % columns == 0 ? in / columns : 0;
  }

  SavedLinear Describe(const std::string& name, const std::string& type, const CheckpointTensor& weight) const {
    const ModeRow& row = *QuantizedRowOf(type);
    SavedLinear linear;
    linear.name = name;
    linear.type = type;
    linear.mode = row.mode;
    linear.out = RowsOf(weight);
    const bool packed = (row.packing == Packing::kColumnPairs && weight.dtype == DType::kU8) ||
                        (row.packing == Packing::kAny && linear.out == weight.shape[0]);
    linear.in = packed ? 2 * weight.shape[1] : weight.shape[1];
    if (row.grouping == Grouping::kDualScale) {
      const int64_t group = GroupSize(Part(name, "weight_dual_scale"), linear.in);
      linear.group_size = group > 0 ? group : linear.in;
    } else if (row.grouping != Grouping::kMx) {
      const CheckpointTensor* const second = Part(name, "weight_scale_second");
      linear.group_size = GroupSize(second != nullptr ? second : Part(name, "weight_scale"), linear.in);
    }
    return linear;
  }

  // The tensors that a layer of this type and size has, by the very function that plans them.
  std::vector<OutputTensor> Expected(const SavedLinear& layer, const CheckpointTensor& weight) const {
    PlannedLinear planned;
    planned.name = layer.name;
    planned.mode = layer.mode;
    planned.out = layer.out;
    planned.in = layer.in;
    planned.has_bias = Part(layer.name, "bias") != nullptr;
    planned.group_size = layer.group_size;
    Compat options;
    options.december_2025 = RowOf(layer.mode).packing == Packing::kColumnPairs && weight.dtype == DType::kF8E4M3;
    options.fp8_for_vllm = layer.type == kFp8TypeOfVllm;
    options.v0 = output_.is_v0();
    if (options.v0) {
      if (planned.has_bias) planned.bias_dtype = Part(layer.name, "bias")->dtype;
      const CheckpointTensor* parameter = Part(layer.name, "input_scale");
      if (parameter == nullptr) parameter = Part(layer.name, "weight_scale");
      return PlanLinear(planned, parameter == nullptr ? DType::kF32 : parameter->dtype, options);
    }
    // Both forms of deq_scale are right: which one depends on the model's type and on the release.
    const CheckpointTensor* const deq = Part(layer.name, "deq_scale");
    const bool integers = deq != nullptr && deq->dtype == DType::kI64;
    return PlanLinear(planned, integers ? DType::kF16 : DType::kBF16, options);
  }

  void CheckLinear(const std::string& name, const std::string& type) {
    const CheckpointTensor& weight = *Part(name, "weight");
    accounted_.insert(weight.name);
    if (weight.shape.size() != 2 || weight.size() == 0) {
      problems_.Add(fmt::format("{}: expected a matrix, found shape {}", weight.name, ShapeText(weight.shape)));
      return;
    }
    const SavedLinear layer = Describe(name, type, weight);
    try {
      for (const OutputTensor& tensor : Expected(layer, weight)) CheckPart(layer, tensor);
    } catch (const Error& error) {
      problems_.Add(error.what());  // a size that the type cannot have
    }
    linears_.push_back(layer);
  }

  void CheckPart(const SavedLinear& layer, const OutputTensor& expected) {
    accounted_.insert(expected.name);
    const CheckpointTensor* const part = output_.weights().Find(expected.name);
    if (part == nullptr) {
      problems_.Add(fmt::format("{} is missing; {} needs it", expected.name, layer.type));
      return;
    }
    if (part->dtype != expected.dtype || part->shape != expected.shape) {
      problems_.Add(fmt::format("{}: {} {} stores it as {}, found {}", expected.name, layer.type,
                                ShapeText({layer.out, layer.in}), Form(expected.dtype, expected.shape),
                                Form(part->dtype, part->shape)));
      return;
    }
    const Json* const listed = output_.description().Find(expected.name);
    const std::string type = listed != nullptr && listed->string() != nullptr ? *listed->string() : expected.type;
    if (type != expected.type && type != layer.type) {  // a bias may have either
      problems_.Add(
          fmt::format("{}: {} in {}, but its layer is {}", expected.name, type, kDescriptionFile, layer.type));
    }
    const std::string_view suffix = std::string_view(expected.name).substr(layer.name.size() + 1);
    if (suffix == "input_offset") CheckOffset(*part);
    if (suffix == "weight_scale" || suffix == "input_scale" || suffix == "deq_scale" || suffix == "weight_dual_scale")
      CheckScale(*part);
  }

  void CheckScale(const CheckpointTensor& tensor) {
    const SharedTensor stored = output_.weights().Get(tensor);
    const ConstView& view = stored.view();
    if (tensor.dtype == DType::kU8) {  // shared exponents: 255 stands for NaN
      const auto* bytes = view.as<uint8_t>();
      if (std::find(bytes, bytes + view.size(), uint8_t{255}) != bytes + view.size())
        problems_.Add(tensor.name + ": holds a NaN exponent");
      return;
    }
    Tensor values;
    if (tensor.dtype == DType::kI64) {
      values = DeqScaleFromModel(view);
    } else if (IsModelDType(tensor.dtype)) {
      values = ConvertTo(view, DType::kF32);
    } else {
      problems_.Add(fmt::format("{}: expected a scale, found {}", tensor.name, DTypeName(tensor.dtype)));
      return;
    }
    for (int64_t i = 0; i < values.size(); ++i) {
      const float value = values.as<float>()[i];
      if (std::isfinite(value) && value > 0) continue;
      problems_.Add(fmt::format("{}: element {} is {}, expected a finite positive scale", tensor.name, i, value));
      return;
    }
  }

  void CheckOffset(const CheckpointTensor& tensor) {
    const SharedTensor stored = output_.weights().Get(tensor);
    for (int64_t i = 0; i < stored.view().size(); ++i) {
      const float value = ElementAsF32(stored.view(), i);
      if (value >= -128 && value <= 127 && value == std::floor(value)) continue;
      problems_.Add(fmt::format("{}: element {} is {}, expected an integer from -128 to 127", tensor.name, i, value));
      return;
    }
  }

  const AscendOutput& output_;
  Problems& problems_;
  std::vector<SavedLinear> linears_;
  std::set<std::string, std::less<>> accounted_;  // tensors of quantized linears
};

}  // namespace

std::vector<SavedLinear> CheckLinears(const AscendOutput& output, Problems& problems) {
  return LinearChecker(output, problems).Run();
}

}  // namespace modelslim::ascend_v1
