#include "plan/output_tensors.h"

#include <iterator>
#include <utility>

namespace modelslim {
namespace {

constexpr const char* kQuarotFile = "optional/quarot.safetensors";

class Collector {
 public:
  Collector(const ModelLayout& layout, const Decisions& decisions, const Compat& compat)
      : layout_(layout), decisions_(decisions), compat_(compat) {}

  std::vector<OutputTensor> Collect() {
    for (const BlockInfo& block : layout_.blocks) {
      unit_ = block.index;
      for (const ModuleInfo& module : block.modules) AddModule(module);
      for (const std::string& attention : block.attention) AddExtras(attention);
    }
    unit_ = static_cast<int>(layout_.blocks.size());
    for (const ModuleInfo& module : layout_.rest) AddModule(module);
    return std::move(tensors_);
  }

 private:
  void AddModule(const ModuleInfo& module) {
    const auto decision = decisions_.linears.find(module.name);
    if (decision != decisions_.linears.end()) {
      for (OutputTensor& tensor : AscendTensors(PlannedOf(module, decision->second), layout_.dtype, compat_)) {
        Add(std::move(tensor));
      }
    } else {
      for (const ParamInfo& param : module.params) AddFloat(param.name, param.dtype, param.shape);
      const auto bias = decisions_.norm_biases.find(module.name);
      if (bias != decisions_.norm_biases.end())
        AddFloat(module.name + ".bias", bias->second, module.params.front().shape);
    }
    AddExtras(module.name);
  }

  void AddExtras(const std::string& module) {
    const auto found = decisions_.extras.find(module);
    if (found == decisions_.extras.end()) return;
    for (const ExtraTensor& extra : found->second) Add({extra.name, extra.dtype, extra.shape, extra.type, 0, 0, 0});
  }

  void AddFloat(const std::string& name, DType dtype, const Shape& shape) {
    Add({name, dtype, shape, "FLOAT", 0, 0, 0});
  }

  void Add(OutputTensor tensor) {
    tensor.unit = unit_;
    tensors_.push_back(std::move(tensor));
  }

  const ModelLayout& layout_;
  const Decisions& decisions_;
  const Compat& compat_;
  std::vector<OutputTensor> tensors_;
  int unit_ = 0;
};

bool IsMx(QuantMode mode) {
  return mode == QuantMode::kW8A8MXFP8 || mode == QuantMode::kW4A8MXFP || mode == QuantMode::kW4A4MXFP4 ||
         mode == QuantMode::kW4A4MXFP4DualScale;
}

}  // namespace

PlannedLinear PlannedOf(const ModuleInfo& module, const LinearDecision& decision) {
  PlannedLinear planned;
  planned.name = module.name;
  planned.mode = decision.mode;
  planned.out = module.out_features();
  planned.in = module.in_features();
  planned.weight_dtype = module.params.front().dtype;
  planned.has_bias = module.has_bias() || decision.gains_bias;
  planned.bias_dtype = module.has_bias() ? module.params[1].dtype : planned.weight_dtype;
  planned.group_size = decision.group_size;
  return planned;
}

std::vector<OutputTensor> TensorsOf(const ModelLayout& layout, const Decisions& decisions, const Compat& compat) {
  return Collector(layout, decisions, compat).Collect();
}

DescriptionGlobals GlobalsOf(const ModelLayout& layout, const Decisions& decisions, const Compat& compat) {
  DescriptionGlobals globals;
  std::vector<QuantMode> modes;
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      const LinearDecision& decision = decisions.linear(module.name);
      modes.push_back(decision.mode);
      // The last writer wins, as in the reference; only grouped types write.
      if (IsMx(decision.mode))
        globals.group_size = 32;
      else if (decision.group_size > 0)
        globals.group_size = decision.group_size;
    }
  }
  if (!compat.december_2025) {
    for (const ModuleInfo& module : layout.rest) {
      if (module.kind == ModuleKind::kLinear) modes.push_back(QuantMode::kFloat);
    }
  }
  globals.model_quant_type = ModelQuantType(modes, compat);
  globals.kv_c8 = decisions.kv_c8;
  if (decisions.static_fa) globals.fa_quant_type = "FAKQuant";
  globals.extra_entries = decisions.extra_entries;
  if (decisions.quarot) {
    globals.quarot = DescriptionGlobals::Quarot{decisions.quarot->max_tp_size, decisions.quarot->heads_layers,
                                                decisions.quarot->kronecker_layers};
  }
  if (decisions.global_rotation) globals.global_rotation_file = kQuarotFile;
  return globals;
}

}  // namespace modelslim
