#include "processor/steps/norm_bias.h"

#include <algorithm>

namespace modelslim {
namespace {

// Norms with another form than y = weight * n have no bias in any server, and zeros may be left out.
bool IsPlainFamily(const Family& family) {
  const auto shifted = [&](const ModuleInfo& module) { return family.StoresShifted(module.name); };
  return std::none_of(family.layout().blocks.begin(), family.layout().blocks.end(), [&](const BlockInfo& block) {
    return std::any_of(block.modules.begin(), block.modules.end(), shifted);
  });
}

class NormBias : public Processor {
 public:
  explicit NormBias(const ProcessorConfig& config) : Processor(config) {}

  bool NeedsData() const override { return false; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    if (!IsPlainFamily(family)) return;
    for (const BlockInfo& block : family.layout().blocks) PlanNorms(block.modules, plan);
    PlanNorms(family.layout().rest, plan);
  }

  // After the last pass through the block, so that no forward widens its activations for the sake of zeros.
  void Preprocess(Block&, RunState&) override {}
  void Postprocess(Block& block, RunState& state) override { MakeBiases(block, block.info().modules, state); }
  void PostRun(RunState& state) override { MakeBiases(state.rest, state.family.layout().rest, state); }

 private:
  static void PlanNorms(const std::vector<ModuleInfo>& modules, ModelPlan& plan) {
    for (const ModuleInfo& module : modules) {
      if (module.kind == ModuleKind::kNorm && !module.has_bias()) plan.decisions.norm_biases[module.name] = DType::kF32;
    }
  }

  static void MakeBiases(Block& block, const std::vector<ModuleInfo>& modules, const RunState& state) {
    for (const ModuleInfo& module : modules) {
      if (state.plan.decisions.norm_biases.contains(module.name)) block.FindNorm(module.name)->MakeBias(DType::kF32);
    }
  }
};

}  // namespace

std::unique_ptr<Processor> MakeNormBias(const ProcessorConfig& config) { return std::make_unique<NormBias>(config); }

}  // namespace modelslim
