#include "plan/output_tensors.h"

#include <map>
#include <string_view>
#include <utility>

namespace modelslim {
namespace {

class Collector {
 public:
  Collector(const ModelLayout& layout, const Decisions& decisions, const Format& format)
      : layout_(layout), decisions_(decisions), format_(format) {
    for (const PlannedFact& fact : decisions.facts) facts_[fact.module].push_back(&fact);
  }

  std::vector<OutputTensor> Collect() {
    for (const BlockInfo& block : layout_.blocks) {
      unit_ = block.index;
      for (const ModuleInfo& module : block.modules) AddModule(module);
      for (const std::string& attention : block.attention) AddFacts(attention);
    }
    unit_ = static_cast<int>(layout_.blocks.size());
    for (const ModuleInfo& module : layout_.rest) AddModule(module);
    AddFacts(kWholeModel);
    return std::move(tensors_);
  }

 private:
  void AddModule(const ModuleInfo& module) {
    const auto decision = decisions_.linears.find(module.name);
    if (decision != decisions_.linears.end()) {
      for (OutputTensor& tensor : format_.PlanLinear(PlannedOf(module, decision->second), layout_.dtype)) {
        Add(std::move(tensor));
      }
    } else {
      for (const ParamInfo& param : module.params) AddFloat(param.name, param.dtype, param.shape);
      const auto bias = decisions_.norm_biases.find(module.name);
      if (bias != decisions_.norm_biases.end())
        AddFloat(module.name + ".bias", bias->second, module.params.front().shape);
    }
    AddFacts(module.name);
  }

  void AddFacts(const std::string& module) {
    const auto found = facts_.find(module);
    if (found == facts_.end()) return;
    for (const PlannedFact* fact : found->second) {
      for (OutputTensor& tensor : format_.PlanFact(*fact)) Add(std::move(tensor));
    }
  }

  void AddFloat(const std::string& name, DType dtype, const Shape& shape) {
    Add(format_.PlanFloat(name, dtype, shape));
  }

  void Add(OutputTensor tensor) {
    tensor.unit = unit_;
    tensors_.push_back(std::move(tensor));
  }

  const ModelLayout& layout_;
  const Decisions& decisions_;
  const Format& format_;
  std::map<std::string_view, std::vector<const PlannedFact*>> facts_;  // by module, in the order of the steps
  std::vector<OutputTensor> tensors_;
  int unit_ = 0;
};

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

std::vector<OutputTensor> TensorsOf(const ModelLayout& layout, const Decisions& decisions, const Format& format) {
  return Collector(layout, decisions, format).Collect();
}

WrittenModel WrittenOf(const ModelLayout& layout, const Decisions& decisions) {
  WrittenModel model;
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      const LinearDecision& decision = decisions.linear(module.name);
      model.linears.push_back({decision.mode, decision.group_size});
    }
  }
  for (const ModuleInfo& module : layout.rest) {
    model.linears_outside = model.linears_outside || module.kind == ModuleKind::kLinear;
  }
  model.facts = decisions.facts;
  model.type = decisions.model_quant_type;
  return model;
}

}  // namespace modelslim
