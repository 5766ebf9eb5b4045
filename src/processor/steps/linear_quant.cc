#include "processor/steps/linear_quant.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/words.h"
#include "processor/linears/kept_float.h"
#include "processor/linears/quant_spec.h"
#include "processor/observing/output_error.h"

namespace modelslim {
namespace {

class LinearQuant : public Processor {
 public:
  LinearQuant(const ProcessorConfig& config, const LinearQuantConfig& own)
      : Processor(config), select_(own.select), spec_(ToQuantSpec(own.qconfig, config.path, own.written_as)) {}

  bool NeedsData() const override { return spec_.NeedsData(); }
  // With descent the next block is fitted to what this one really puts out.
  bool ForwardsAgain() const override { return spec_.descent.has_value(); }

  void Plan(const Family& family, ModelPlan& plan) const override {
    for (const BlockInfo& block : family.layout().blocks) {
      for (const ModuleInfo& module : block.modules) {
        if (TakesLinear(select_, module)) PlanLinear(module, plan);
      }
    }
    // What is outside of the blocks has to be named; no pattern reaches it.
    for (const ModuleInfo& module : family.layout().rest) {
      if (module.kind != ModuleKind::kLinear || !select_.names || !select_.Selects(module.name)) continue;
      plan.decisions.linears.try_emplace(module.name);
      PlanLinear(module, plan);
    }
    if (!spec_.gptq) return;
    plan.notes.Inform(path(),
                      "gptq fits every layer to inputs that only the float model sees, and lets the few longest tokens "
                      "decide, as 26.1.0 does; a whole model can come out worse than by minmax. Where the weights are "
                      "symmetric, 'method: descent' (ours) does neither");
  }

  void SketchPass(Block& block, const Family&, const ModelPlan& plan) const override {
    for (LinearModule* module : block.linears()) {
      if (Takes(*module, plan)) SketchCalibration(*module, spec_);
    }
  }
  void SketchResult(Block& block, const Family&, const ModelPlan& plan) const override {
    for (LinearModule* module : block.linears()) {
      if (Takes(*module, plan)) SketchDeployment(*module, spec_);
    }
  }

  StepMemory Memory(const MemoryQuestion& question) const override {
    StepMemory memory;
    std::set<std::string> moments;  // inputs whose second moment is counted
    const int64_t sampled = question.measure_errors && question.tokens > 0 ? SampledRows(question.block) : 0;
    for (const ModuleInfo& module : question.block.modules) {
      if (module.kind != ModuleKind::kLinear || question.plan.decisions.linear(module.name).by != path()) continue;
      const int64_t tokens = question.TokensInto(module.name);
      memory.kept +=
          static_cast<uint64_t>(std::min(sampled, tokens) * module.in_features()) * DTypeSize(question.dtype);
      if (!spec_.UsesMoment()) {
        memory.codes += QuantizedBytes(module.out_features() * module.in_features(), module.params.front().dtype,
                                       CalibrationSpec());
      } else {
        AddMoment(question, module, tokens, moments.insert(question.inputs.Of(module.name)).second, &memory);
      }
    }
    // Samples fill up while the forward runs.
    memory.watching += memory.kept;
    if (spec_.UsesMoment()) memory.kept += std::exchange(memory.codes, 0);
    return memory;
  }

  void Preprocess(Block& block, RunState& state) override {
    spec_.weight.december_2025 = state.plan.options.compat.december_2025;
    if (state.plan.options.mends.bf16_scales) spec_.input_scale_type = ServedScaleType(state.family.layout().dtype);
    const int64_t sampled = state.measure_errors ? SampledRows(block.info()) : 0;
    for (LinearModule* module : block.linears()) {
      if (Takes(*module, state.plan)) StartCalibration(*module, spec_, state.scratch, sampled);
    }
  }

  void Postprocess(Block& block, RunState& state) override {
    std::vector<LinearModule*> unseen;
    for (LinearModule* module : block.linears()) {
      if (IsUnseen(*module)) unseen.push_back(module);
    }
    if (state.idle_experts == IdleExperts::kPool) Pool(block, state, &unseen);
    if (!unseen.empty()) RefuseUnseen(unseen);
    for (LinearModule* module : block.linears()) {
      if (!IsCalibrating(*module)) continue;
      Deploy(*module);
      if (state.handled_experts.count(ExpertOf(module->name())) > 0) {
        QuantizedResult(*module)->range_from = IdleExpertsName(state.idle_experts);
      }
    }
  }

 private:
  bool Takes(const LinearModule& module, const ModelPlan& plan) const {
    return plan.decisions.linear(module.name()).by == path();
  }

  void PlanLinear(const ModuleInfo& module, ModelPlan& plan) const {
    LinearDecision& decision = plan.decisions.linear(module.name);
    if (!decision.by.empty()) {
      decision.shadowed.push_back(path());
      return;
    }
    try {
      CheckWeightSpec(spec_.weight, spec_.UsesMoment() ? 0 : module.in_features());
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}: {}", path(), module.name, error.what()),
                  error.tip().empty() ? "choose another type for this layer, or exclude it" : error.tip());
    }
    decision.mode = spec_.mode;
    decision.by = path();
    decision.group_size = spec_.gptq      ? spec_.gptq->group_size
                          : spec_.descent ? spec_.descent->group_size
                                          : spec_.weight.group_size;
    if (spec_.mode == QuantMode::kW4A4MXFP4DualScale) decision.group_size = spec_.weight.dual_block_size;
  }

  WeightSpec CalibrationSpec() const {
    WeightSpec spec = spec_.weight;
    spec.keep_fp8_values = spec_.NeedsData();
    return spec;
  }

  // `first`: no Linear before it reads the same. Its codes are counted in `codes`, though no forward makes them.
  void AddMoment(const MemoryQuestion& question, const ModuleInfo& module, int64_t tokens, bool first,
                 StepMemory* memory) const {
    const int64_t in = module.in_features(), out = module.out_features();
    const DType dtype = module.params.front().dtype;
    const uint64_t moment = SecondMomentBytes(in);
    // Inputs that are smaller than the moment wait in a file, and the moment is made at the end.
    const bool early =
        tokens * static_cast<int64_t>(DTypeSize(question.dtype)) >= in * static_cast<int64_t>(sizeof(float));
    if (early && first) memory->watching += moment;
    const uint64_t rounding =
        spec_.gptq ? std::max(MakingFactorBytes(in, dtype), FactorBytes(in, dtype) + GptqBytes(out, in, dtype))
                   : DescentBytes(out, in);
    memory->finishing = std::max(memory->finishing, rounding + (early ? 0 : moment));
    memory->codes += static_cast<uint64_t>(out * in);
  }

  // Lets layers of experts use what the same layers of the other experts saw; those leave `unseen`.
  void Pool(Block& block, RunState& state, std::vector<LinearModule*>* unseen) const {
    struct Siblings {
      std::map<std::string, std::vector<LinearModule*>> idle;  // by the entry that quantizes them
      std::vector<LinearModule*> others;
    };
    std::map<std::string, Siblings> layers;  // "model.layers.3.mlp.experts.*.up_proj"
    const auto key_of = [](const std::string& name) {
      const std::string expert = ExpertOf(name);
      return expert.empty() ? "" : expert.substr(0, expert.rfind('.') + 1) + "*" + name.substr(expert.size());
    };
    for (LinearModule* module : *unseen) {
      if (const std::string key = key_of(module->name()); !key.empty()) {
        layers[key].idle[state.plan.decisions.linear(module->name()).by].push_back(module);
      }
    }
    for (LinearModule* module : block.linears()) {
      const auto layer = layers.find(key_of(module->name()));
      if (layer != layers.end() && !IsUnseen(*module)) layer->second.others.push_back(module);
    }
    for (const auto& [key, siblings] : layers) {
      for (const auto& [by, idle] : siblings.idle) {
        if (!PoolCalibration(idle, siblings.others, state.scratch)) continue;
        for (LinearModule* module : idle) {
          state.handled_experts.insert(ExpertOf(module->name()));
          std::erase(*unseen, module);
        }
      }
    }
  }

  [[noreturn]] void RefuseUnseen(const std::vector<LinearModule*>& layers) const {
    constexpr size_t kListed = 16;
    std::vector<std::string> names;  // an expert stands for its layers
    for (const LinearModule* layer : layers) {
      const std::string expert = ExpertOf(layer->name());
      const std::string& name = expert.empty() ? layer->name() : expert;
      if (names.empty() || names.back() != name) names.push_back(name);
    }
    const size_t listed = std::min(names.size(), kListed);
    std::string list = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<int64_t>(listed), ", "));
    if (names.size() > listed) list += fmt::format(" and {} more", names.size() - listed);
    throw Error(ErrorCode::kSpec,
                fmt::format("{}: no calibration token reached {} whose input must be seen: {}", path(),
                            Counted(layers.size(), "layer"), list),
                "use more or longer calibration samples, let idle experts borrow (--idle-experts pool or all-tokens), "
                "give these layers a per_token activation, or exclude them");
  }

  Selection select_;
  LinearQuantSpec spec_;
};

}  // namespace

std::unique_ptr<Processor> MakeLinearQuant(const ProcessorConfig& config) {
  return std::make_unique<LinearQuant>(config, *config.As<LinearQuantConfig>());
}

}  // namespace modelslim
