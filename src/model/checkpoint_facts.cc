#include "model/checkpoint_facts.h"

#include "io/checkpoint.h"
#include "model/source_forms.h"
#include "ops/block_fp8.h"

namespace modelslim {
namespace {

void AttachTo(const Checkpoint& checkpoint, const SourceForms& forms, std::vector<ModuleInfo>* modules) {
  for (ModuleInfo& module : *modules) {
    if (module.kind != ModuleKind::kLinear) continue;
    ParamInfo& weight = module.params.front();
    const CodedForm* const form = forms.Find(weight.name);
    if (form == nullptr || !weight.alias_of.empty()) continue;
    const CheckpointTensor* const scale = checkpoint.Find(weight.name + "_scale_inv");
    // The common form has a path of its own, which knows the size of its blocks.
    const bool common = form->stored.code == WeightCode::kFp8 && scale != nullptr &&
                        scale->shape == Fp8ScaleShape(form->shape) && IsModelDType(scale->dtype) &&
                        form->stored.block_rows == kFp8Block && form->stored.block_cols == kFp8Block;
    if (common) {
      weight.scale_name = scale->name;
    } else if (form->shape == weight.shape) {
      weight.stored = std::make_shared<const StoredWeight>(form->stored);
    }
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

void AttachStoredForms(const Checkpoint& checkpoint, const SourceForms& forms, ModelLayout* layout) {
  for (BlockInfo& block : layout->blocks) AttachTo(checkpoint, forms, &block.modules);
  AttachTo(checkpoint, forms, &layout->rest);
  IgnoreLeftovers(forms, layout);
}

void IgnoreLeftovers(const SourceForms& forms, ModelLayout* layout) {
  if (forms.forms().empty()) return;
  for (const char* const suffix : {".input_scale", ".activation_scale", ".output_scale", ".weight_shape"})
    layout->ignored_suffixes.emplace_back(suffix);
}

}  // namespace modelslim
