#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "io/checkpoint.h"
#include "model/family.h"
#include "model/stored_weight.h"
#include "ops/block_fp8.h"

namespace modelslim {
namespace {

const std::string& StoredName(const ParamInfo& param) { return param.alias_of.empty() ? param.name : param.alias_of; }

bool IsConvertible(DType dtype) { return IsModelDType(dtype) || dtype == DType::kF64; }

std::string Describe(const Shape& shape, DType dtype) { return std::string(DTypeName(dtype)) + " " + ShapeText(shape); }

// What is wrong with a parameter's tensors, or nothing.
std::string Problem(const ParamInfo& param, const Checkpoint& checkpoint) {
  if (param.stored) return "";  // whoever attached it has looked at it
  const std::string& name = StoredName(param);
  const CheckpointTensor* const stored = checkpoint.Find(name);
  if (stored == nullptr) return name + ": expected " + Describe(param.shape, param.dtype) + ", found no such tensor";
  if (stored->shape != param.shape) {
    return name + ": expected shape " + ShapeText(param.shape) + ", found " + ShapeText(stored->shape);
  }
  if (stored->dtype == DType::kF8E4M3) {
    const std::string scale = param.scale_name.empty() ? name + "_scale_inv" : param.scale_name;
    const CheckpointTensor* const scales = checkpoint.Find(scale);
    if (param.shape.size() != 2)
      return name + ": expected a floating type for a tensor of shape " + ShapeText(param.shape) + ", found F8_E4M3";
    if (scales == nullptr) return name + ": F8_E4M3, expected its scales in " + scale + ", found no such tensor";
    if (scales->shape != Fp8ScaleShape(param.shape) || !IsModelDType(scales->dtype)) {
      return scale + ": expected F32 " + ShapeText(Fp8ScaleShape(param.shape)) + ", found " +
             Describe(scales->shape, scales->dtype);
    }
    return "";
  }
  if (stored->dtype == param.dtype) return "";
  if (!IsConvertible(stored->dtype)) {
    return name + ": expected a floating type, found " + std::string(DTypeName(stored->dtype));
  }
  return "";
}

[[noreturn]] void ThrowInvalid(const Checkpoint& checkpoint, const std::string& problems, const std::string& tip = "") {
  throw Error(ErrorCode::kInvalidModel,
              checkpoint.directory().string() + ": the weights do not fit config.json: " + problems,
              tip.empty() ? "take config.json and the weights from the same download" : tip);
}

class CheckpointSource : public WeightSource {
 public:
  explicit CheckpointSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}

  std::optional<SharedTensor> Map(const ParamInfo& param) const override {
    if (param.stored) return MapStored(*checkpoint_, param);
    const CheckpointTensor& stored = Find(param);
    if (stored.dtype != param.dtype) return std::nullopt;
    return checkpoint_->Get(stored);
  }

  bool IsInPlace(const ParamInfo& param) const override {
    if (param.stored) return IsStoredInPlace(*checkpoint_, param);
    const CheckpointTensor& stored = Find(param);
    return stored.dtype == param.dtype && checkpoint_->IsInPlace(stored);
  }

  Tensor Load(const ParamInfo& param) const override {
    if (param.stored) return LoadStored(*checkpoint_, param);
    const CheckpointTensor& stored = Find(param);
    const SharedTensor values = checkpoint_->Get(stored);
    Tensor made(param.dtype, param.shape);
    if (stored.dtype == DType::kF8E4M3) {
      const SharedTensor scales = checkpoint_->Get(param.scale_name);
      DequantizeBlockFp8(values.view(), scales.view(), made.view());
    } else {
      Convert(values.view(), made.view());
    }
    return made;
  }

  Tensor LoadRows(const ParamInfo& param, int64_t begin, int64_t end) const override {
    if (param.stored) return LoadStoredRows(*checkpoint_, param, begin, end);
    const CheckpointTensor& stored = Find(param);
    if (!checkpoint_->IsInPlace(stored)) {
      Tensor rows = checkpoint_->CopyRows(stored, begin, end);
      return stored.dtype == param.dtype ? std::move(rows) : ConvertTo(std::as_const(rows).view(), param.dtype);
    }
    const SharedTensor values = checkpoint_->Get(stored);
    if (stored.dtype != DType::kF8E4M3) return ConvertTo(values.view().Rows(begin, end), param.dtype);
    const int64_t first = begin / kFp8Block * kFp8Block;  // scales belong to blocks of rows
    const SharedTensor scales = checkpoint_->Get(param.scale_name);
    const ConstView parts = scales.view().Rows(first / kFp8Block, (end + kFp8Block - 1) / kFp8Block);
    Tensor made(param.dtype, {end - first, param.shape.back()});
    DequantizeBlockFp8(values.view().Rows(first, end), parts, made.view());
    return first == begin ? std::move(made) : Tensor::Copy(std::as_const(made).view().Rows(begin - first, end - first));
  }

  void WillNeed(const ParamInfo& param) const override {
    if (param.stored) return WillNeedStored(*checkpoint_, param);
    checkpoint_->WillNeed(StoredName(param));
    if (!param.scale_name.empty()) checkpoint_->WillNeed(param.scale_name);
  }

  void DontNeed(const ParamInfo& param) const override {
    if (param.stored) return DontNeedStored(*checkpoint_, param);
    checkpoint_->DontNeed(StoredName(param));
    if (!param.scale_name.empty()) checkpoint_->DontNeed(param.scale_name);
  }

 private:
  const CheckpointTensor& Find(const ParamInfo& param) const {
    std::string problem = Problem(param, *checkpoint_);
    if (!problem.empty()) ThrowInvalid(*checkpoint_, problem);
    return *checkpoint_->Find(StoredName(param));
  }

  const Checkpoint* checkpoint_;
};

// The number of decoder layers that the checkpoint has in one piece from the first one on.
size_t LayersIn(const Checkpoint& checkpoint) {
  std::set<size_t> layers;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    constexpr std::string_view kLayers = "model.layers.";
    if (!tensor.name.starts_with(kLayers)) continue;
    const std::string number =
        tensor.name.substr(kLayers.size(), tensor.name.find('.', kLayers.size()) - kLayers.size());
    if (!number.empty() && number.size() < 6 && number.find_first_not_of("0123456789") == std::string::npos)
      layers.insert(std::stoul(number));
  }
  size_t count = 0;
  for (const size_t layer : layers) count += layer == count ? 1 : 0;
  return count;
}

// What can be done about parameters that are not there, or of another shape.
std::string TipFor(const std::vector<std::string>& problems, const ModelLayout& layout, const Checkpoint& checkpoint) {
  const size_t has = LayersIn(checkpoint), expected = layout.blocks.size();
  if (has == 0) {
    return "the names are those of another architecture or of another framework: give the model as Hugging Face "
           "transformers saves it, with its config.json";
  }
  if (problems.size() == 1 && checkpoint.Find("lm_head.weight") == nullptr && problems[0].starts_with("lm_head.")) {
    return "a model whose head is its embedding has \"tie_word_embeddings\": true in config.json; one without any head "
           "(for "
           "embeddings or classes) is not quantized here";
  }
  if (has < expected) {
    return "config.json tells of " + std::to_string(expected) + " layers, the weights have " + std::to_string(has) +
           ": correct num_hidden_layers, or give the weights of the whole model";
  }
  return "take config.json and the weights from the same download: its sizes or its model_type are not those of the "
         "weights";
}

bool IsIgnored(const ModelLayout& layout, const std::string& name) {
  return std::any_of(layout.ignored_suffixes.begin(), layout.ignored_suffixes.end(),
                     [&](const std::string& suffix) { return name.ends_with(suffix); });
}

}  // namespace

std::unique_ptr<WeightSource> MakeWeightSource(const Checkpoint& checkpoint) {
  return std::make_unique<CheckpointSource>(checkpoint);
}

std::vector<std::string> CheckAgainstCheckpoint(const ModelLayout& layout, const Checkpoint& checkpoint) {
  constexpr size_t kShown = 10;
  std::vector<std::string> problems;
  std::unordered_set<std::string_view> loaded;
  const auto check = [&](const std::vector<ModuleInfo>& modules) {
    for (const ModuleInfo& module : modules) {
      for (const ParamInfo& param : module.params) {
        std::string problem = Problem(param, checkpoint);
        if (!problem.empty()) problems.push_back(std::move(problem));
        loaded.insert(StoredName(param));
        loaded.insert(param.scale_name);
        if (!param.stored) continue;
        for (const std::string* const name : {&param.stored->values, &param.stored->scales, &param.stored->zeros})
          loaded.insert(*name);
      }
    }
  };
  for (const BlockInfo& block : layout.blocks) check(block.modules);
  check(layout.rest);
  std::vector<std::string> unknown;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!loaded.contains(tensor.name) && !IsIgnored(layout, tensor.name)) unknown.push_back(tensor.name);
  }
  if (!problems.empty()) {
    std::string text;
    for (size_t i = 0; i < std::min(kShown, problems.size()); ++i) text += (i > 0 ? "; " : "") + problems[i];
    if (problems.size() > kShown) text += "; and " + std::to_string(problems.size() - kShown) + " more";
    if (!unknown.empty())
      text += "; the weights have instead: " + unknown.front() +
              (unknown.size() > 1 ? " and " + std::to_string(unknown.size() - 1) + " more" : "");
    ThrowInvalid(checkpoint, text, TipFor(problems, layout, checkpoint));
  }
  return unknown;
}

}  // namespace modelslim
