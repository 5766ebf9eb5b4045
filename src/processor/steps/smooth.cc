#include "processor/steps/smooth.h"

#include <fmt/format.h>

#include <utility>

#include "processor/steps/group_step.h"
#include "quant/smoothing/smooth.h"

namespace modelslim {
namespace {

// Both processors are one algorithm with different reach.
struct SmoothOptions {
  double alpha = 0.5;
  float scale_min = 1e-5f;
  bool symmetric = true;
  // 26.1.0: smooth_quant gives every norm it touches a bias, iter_smooth only where there is a shift or one was there
  // before.
  bool always_norm_bias = false;
  bool magnitudes = false;  // see IterSmoothConfig
};

class StatsObserver : public GroupObserver {
 public:
  void Observe(const ConstView& x, const RowGroups&) override { stats_.Observe(x); }
  bool empty() const override { return stats_.empty(); }
  const ChannelStats& stats() const { return stats_; }

 private:
  ChannelStats stats_;
};

class SmoothStep : public GroupStepOf<StatsObserver> {
 public:
  SmoothStep(const ProcessorConfig& config, std::vector<SubgraphType> types, const Selection& select,
             const SmoothOptions& options)
      : GroupStepOf(config, std::move(types), select), options_(options) {}

  void SketchPass(Block& block, const Family& family, const ModelPlan& plan) const override {
    ReplaceNorms(block, Select(family, block.info().index), plan.options);
  }

 protected:
  void PlanGroups(const Family& family, const std::vector<Subgraph>& groups, ModelPlan& plan) const override {
    std::vector<std::string> shifted;
    for (const Subgraph& group : groups) {
      const bool norm_linear = group.type == SubgraphType::kNormLinear;
      if (norm_linear && family.StoresShifted(group.source)) shifted.push_back(group.source);
    }
    if (!shifted.empty() && !plan.options.mends.zero_centred_norm) WarnOfShifted(shifted, plan.notes);
  }

  void PlanGroup(const Family&, const BlockInfo& block, const Subgraph& group, ModelPlan& plan) const override {
    if (group.type != SubgraphType::kNormLinear) return;
    const ModuleInfo* norm = nullptr;
    for (const ModuleInfo& module : block.modules) {
      if (module.name == group.source) norm = &module;
    }
    MODELSLIM_CHECK(norm != nullptr);
    const bool has_bias = norm->params.size() > 1;
    if (!has_bias && AddsNormBias(plan.options)) plan.decisions.norm_biases[group.source] = DType::kF32;
    if (options_.symmetric) return;
    for (const std::string& target : group.targets) plan.decisions.linear(target).gains_bias = true;
  }

  void Prepare(Block& block, const std::vector<Subgraph>& groups, RunState& state) const override {
    ReplaceNorms(block, groups, state.plan.options);
  }

  std::unique_ptr<GroupObserver> MakeObserver(LinearModule&, RunState&) const override {
    return std::make_unique<StatsObserver>();
  }

  void SmoothGroup(Block& block, const Subgraph& group, StatsObserver& observer, RunState&) const override {
    const ChannelStats& stats = observer.stats();
    const bool norm_linear = group.type == SubgraphType::kNormLinear;
    const bool shifted = norm_linear && !options_.symmetric;
    const Channels a = shifted && !options_.magnitudes ? stats.ShiftedAbsMax() : stats.AbsMax();
    const auto statistic = norm_linear || options_.magnitudes ? WeightStatistic::kAbsMax : WeightStatistic::kSignedMax;
    const Channels w = ClampWeightStatistic(ColumnMax(TargetWeights(block, group), statistic));
    const Channels scale = IterSmoothScale(a, w, options_.alpha, options_.scale_min);
    if (group.type == SubgraphType::kOv) {
      ApplyToOv(block, group, ReduceOvMean(scale, HeadsOf(group)));
    } else if (shifted) {
      const Channels shift = stats.Shift();
      ApplyToChannels(block, group, scale, &shift);
    } else {
      ApplyToChannels(block, group, scale);
    }
  }

 private:
  void WarnOfShifted(const std::vector<std::string>& norms, PlanNotes& notes) const {
    notes.Warn(path(),
               fmt::format("26.1.0 does not bring a norm that {} replaced back to the form it is stored in (w - 1), so "
                           "the saved model computes something else ({} norms, the first is {}); its numbers are "
                           "reproduced. Give --mend zero-centred-norm, or smooth with flex_smooth_quant, for a model "
                           "that still computes the same",
                           type(), norms.size(), norms.front()));
  }

  void ReplaceNorms(Block& block, const std::vector<Subgraph>& groups, const StepOptions& asked) const {
    for (const Subgraph& group : groups) {
      if (group.type != SubgraphType::kNormLinear) continue;
      NormModule& norm = *block.FindNorm(group.source);
      norm.Replace(AddsNormBias(asked) || norm.bias() != nullptr);
    }
  }

  bool AddsNormBias(const StepOptions& asked) const {
    return options_.always_norm_bias || !options_.symmetric || asked.compat.december_2025;
  }

  SmoothOptions options_;
};

}  // namespace

std::unique_ptr<Processor> MakeSmoothQuant(const ProcessorConfig& config) {
  const SmoothQuantConfig& own = *config.As<SmoothQuantConfig>();
  SmoothOptions options;
  options.alpha = own.alpha;
  options.symmetric = own.symmetric;
  options.always_norm_bias = true;
  return std::make_unique<SmoothStep>(config, std::vector{SubgraphType::kNormLinear}, own.select, options);
}

std::unique_ptr<Processor> MakeIterSmooth(const ProcessorConfig& config) {
  const IterSmoothConfig& own = *config.As<IterSmoothConfig>();
  SmoothOptions options;
  options.alpha = own.alpha;
  options.scale_min = static_cast<float>(own.scale_min);
  options.symmetric = own.symmetric;
  options.magnitudes = own.magnitudes;
  auto step = std::make_unique<SmoothStep>(config, own.enable_subgraph_type, own.select, options);
  if (own.norms_first) step->PutNormsFirst();
  return step;
}

}  // namespace modelslim
