#include <algorithm>
#include <unordered_set>
#include <utility>

#include "io/checkpoint.h"
#include "model/family.h"
#include "ops/block_fp8.h"

namespace modelslim {
namespace {

const std::string& StoredName(const ParamInfo& param) { return param.alias_of.empty() ? param.name : param.alias_of; }

bool IsConvertible(DType dtype) { return IsModelDType(dtype) || dtype == DType::kF64; }

std::string Describe(const Shape& shape, DType dtype) { return std::string(DTypeName(dtype)) + " " + ShapeText(shape); }

// What is wrong with a parameter's tensors, or nothing.
std::string Problem(const ParamInfo& param, const Checkpoint& checkpoint) {
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
  if (!IsConvertible(stored->dtype)) {
    return name + ": expected a floating type, found " + std::string(DTypeName(stored->dtype));
  }
  return "";
}

[[noreturn]] void ThrowInvalid(const Checkpoint& checkpoint, const std::string& problems) {
  throw Error(ErrorCode::kInvalidModel,
              checkpoint.directory().string() + ": the weights do not fit config.json: " + problems,
              "check that config.json belongs to these weights and that all shards are complete");
}

class CheckpointSource : public WeightSource {
 public:
  explicit CheckpointSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}

  std::optional<SharedTensor> Map(const ParamInfo& param) const override {
    const CheckpointTensor& stored = Find(param);
    if (stored.dtype != param.dtype) return std::nullopt;
    return checkpoint_->Get(stored);
  }

  Tensor Load(const ParamInfo& param) const override {
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

  void WillNeed(const ParamInfo& param) const override {
    checkpoint_->WillNeed(StoredName(param));
    if (!param.scale_name.empty()) checkpoint_->WillNeed(param.scale_name);
  }

  void DontNeed(const ParamInfo& param) const override {
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

bool IsIgnored(const ModelLayout& layout, const std::string& name) {
  return std::any_of(layout.ignored_prefixes.begin(), layout.ignored_prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); }) ||
         std::any_of(layout.ignored_suffixes.begin(), layout.ignored_suffixes.end(),
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
      }
    }
  };
  for (const BlockInfo& block : layout.blocks) check(block.modules);
  check(layout.rest);
  if (!problems.empty()) {
    std::string text;
    for (size_t i = 0; i < std::min(kShown, problems.size()); ++i) text += (i > 0 ? "; " : "") + problems[i];
    if (problems.size() > kShown) text += "; and " + std::to_string(problems.size() - kShown) + " more";
    ThrowInvalid(checkpoint, text);
  }
  std::vector<std::string> unknown;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!loaded.contains(tensor.name) && !IsIgnored(layout, tensor.name)) unknown.push_back(tensor.name);
  }
  return unknown;
}

}  // namespace modelslim
