#include "processor/steps/awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "base/log.h"
#include "processor/linears/quant_spec.h"
#include "processor/observing/part_output.h"
#include "processor/steps/group_step.h"
#include "quant/smoothing/awq.h"
#include "quant/smoothing/smooth.h"

namespace modelslim {
namespace {

class AwqObserver : public GroupObserver {
 public:
  explicit AwqObserver(fs::path scratch) : tape_(std::move(scratch)) {}
  void Observe(const ConstView& x, const RowGroups& groups) override {
    for (int64_t s = 0; s < groups.samples(); ++s) mean_.Observe(x.Rows(groups.offsets[s], groups.offsets[s + 1]));
    tape_.Observe(x, groups);
  }
  bool empty() const override { return mean_.empty(); }
  const RunningAbsMean& mean() const { return mean_; }
  InputTape& tape() { return tape_; }

 private:
  RunningAbsMean mean_;
  InputTape tape_;
};

bool SharesValues(const Subgraph& group) { return group.type == SubgraphType::kOv && group.heads != group.kv_heads; }

class Awq : public GroupStepOf<AwqObserver> {
 public:
  Awq(const ProcessorConfig& config, const AwqConfig& own)
      : GroupStepOf(config, own.enable_subgraph_type, own.select),
        weight_(ToWeightSpec(own.weight_qconfig)),
        n_grid_(static_cast<int>(own.n_grid)) {}

  // A trial runs the part of the block again, with weights of its own for the targets.
  StepMemory Memory(const MemoryQuestion& question) const override {
    StepMemory memory;
    memory.runs_again = true;
    for (const Subgraph& group : Select(question.family, question.block.index)) {
      uint64_t tried = 0, making = 0;
      for (const ModuleInfo& module : question.block.modules) {
        if (std::find(group.targets.begin(), group.targets.end(), module.name) == group.targets.end()) continue;
        const DType dtype = module.params.front().dtype;
        const int64_t elements = module.out_features() * module.in_features();
        // As it was, in case it cannot be read again; as it is tried.
        tried += 2 * WeightBytes(module);
        making = std::max(making, 2 * WeightBytes(module) + QuantizingBytes(elements, dtype, weight_));
      }
      memory.finishing = std::max(memory.finishing, tried + making);
    }
    return memory;
  }

 protected:
  void PlanGroups(const Family&, const std::vector<Subgraph>& groups, ModelPlan& plan) const override {
    const auto shared = std::ranges::count_if(groups, SharesValues);
    if (shared == 0 || plan.options.mends.awq_gqa) return;
    plan.notes.Warn(
        path(),
        fmt::format(
            "query heads share value heads, and there 26.1.0 scales o_proj without dividing v_proj, which changes "
            "what the model computes ({} layers); its numbers are reproduced. Give --mend awq-gqa, or exclude "
            "\"*v_proj\" here, for a model that still computes the same",
            shared));
  }

  void PlanGroup(const Family& family, const BlockInfo& block, const Subgraph& group, ModelPlan&) const override {
    const std::string part = CommonModule(group.targets);
    const std::vector<std::string> parts = family.Parts(block.index);
    if (group.targets.size() > 1 && std::find(parts.begin(), parts.end(), part) == parts.end()) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: the targets of {} have {} in common, which the family {} cannot run by itself",
                              path(), group.source, part, family.name()),
                  fmt::format("exclude \"{}\"", group.source));
    }
    for (const std::string& target : group.targets) {
      for (const ModuleInfo& module : block.modules) {
        if (module.name == target) CheckWeightSpec(weight_, module.in_features());
      }
    }
  }

  std::unique_ptr<GroupObserver> MakeObserver(LinearModule&, RunState& state) const override {
    return std::make_unique<AwqObserver>(state.scratch);
  }

  void SmoothGroup(Block& block, const Subgraph& group, AwqObserver& observer, RunState& state) const override {
    const bool ov = group.type == SubgraphType::kOv;
    // Query heads that share a value head can only have the scale of that head.
    const bool reduce = ov && (!SharesValues(group) || state.plan.options.mends.awq_gqa);
    Channels mean = observer.mean().value();
    if (reduce) mean = ReduceHeadsMax(mean, HeadsOf(group));
    const auto per_input = [&](const Channels& scale) { return reduce ? ExpandHeads(scale, HeadsOf(group)) : scale; };
    const Channels scale = Search(block, group, mean, per_input, observer.tape(), state);
    if (reduce) {
      ApplyToOv(block, group, {per_input(scale), scale});
    } else if (ov) {
      ScaleColumns(block.FindLinear(group.targets.front())->weight().Mutable(), scale);
    } else {
      ApplyToChannels(block, group, scale);
    }
  }

 private:
  // `per_input` makes one value per input channel of the targets from a scale of the search.
  Channels Search(Block& block, const Subgraph& group, const Channels& mean,
                  const std::function<Channels(const Channels&)>& per_input, InputTape& tape, RunState& state) const {
    PartOutput part(block, state, CommonModule(group.targets), tape);
    const auto quantize = [this](const ConstView& w) { return Dequantize(QuantizeWeight(w, weight_), w.dtype); };
    AwqSearchResult found = AwqSearch(mean, n_grid_, [&](const Channels& scale) {
      const auto change = [tried = per_input(scale), &quantize](const View& w) {
        std::memcpy(w.data, AwqTrialWeight(w, tried, quantize).view().data, w.bytes());
      };
      for (const std::string& name : group.targets) block.FindLinear(name)->weight().Try(change);
      return part.MeanSquaredChange();
    });
    for (const std::string& name : group.targets) block.FindLinear(name)->weight().EndTrial();
    LogDebug(fmt::format("{}: {} ratio {:.3f} loss {:.3e}", path(), group.source, found.ratio, found.loss));
    return std::move(found.scale);
  }

  WeightSpec weight_;
  int n_grid_;
};

}  // namespace

std::unique_ptr<Processor> MakeAwq(const ProcessorConfig& config) {
  return std::make_unique<Awq>(config, *config.As<AwqConfig>());
}

}  // namespace modelslim
