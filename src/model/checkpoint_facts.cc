#include "model/checkpoint_facts.h"

#include "io/checkpoint.h"

namespace modelslim {
namespace {

void AttachTo(const Checkpoint& checkpoint, std::vector<ModuleInfo>* modules) {
  for (ModuleInfo& module : *modules) {
    if (module.kind != ModuleKind::kLinear) continue;
    ParamInfo& weight = module.params.front();
    const CheckpointTensor* const stored = checkpoint.Find(weight.name);
    if (stored == nullptr || stored->dtype != DType::kF8E4M3) continue;
    const std::string scale = weight.name + "_scale_inv";
    if (checkpoint.Find(scale) != nullptr) weight.scale_name = scale;
  }
}

}  // namespace

bool HasTensor(const Checkpoint& checkpoint, std::string_view name) { return checkpoint.Find(name) != nullptr; }

DType FirstFloatDType(const Checkpoint& checkpoint) {
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (IsModelDType(tensor.dtype) && !tensor.name.ends_with("_scale_inv")) return tensor.dtype;
  }
  return DType::kBF16;
}

void AttachBlockScales(const Checkpoint& checkpoint, ModelLayout* layout) {
  for (BlockInfo& block : layout->blocks) AttachTo(checkpoint, &block.modules);
  AttachTo(checkpoint, &layout->rest);
}

}  // namespace modelslim
