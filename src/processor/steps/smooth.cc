#include "processor/steps/smooth.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "base/log.h"
#include "processor/steps/subgraphs.h"
#include "quant/smoothing/smooth.h"

namespace modelslim {
namespace {

// Both processors are one algorithm with different reach.
struct SmoothOptions {
  double alpha = 0.5;
  float scale_min = 1e-5f;
  bool symmetric = true;
  std::vector<SubgraphType> types;
  // 26.1.0: smooth_quant gives every norm it touches a bias, iter_smooth only where there is a shift or one was there
  // before.
  bool always_norm_bias = false;
};

class StatsObserver : public InputObserver {
 public:
  void Observe(const ConstView& x, const RowGroups&) override { stats_.Observe(x); }
  const ChannelStats& stats() const { return stats_; }

 private:
  ChannelStats stats_;
};

class SmoothProcessor : public Processor {
 public:
  SmoothProcessor(const ProcessorConfig& config, SmoothOptions options, std::function<bool(const std::string&)> selects)
      : Processor(config), options_(std::move(options)), selects_(std::move(selects)) {}

  bool NeedsData() const override { return true; }

  std::vector<std::string> Rewrites(const Family& family) const override {
    return LinearsOf(family, options_.types, selects_);
  }

  void Plan(const Family& family, ModelPlan& plan) const override {
    RequireSubgraphs(family, path(), type());
    std::vector<std::string> shifted;
    for (const BlockInfo& block : family.layout().blocks) {
      for (const Subgraph& group : Select(family, block.index)) {
        PlanGroup(block, group, plan);
        if (group.type == SubgraphType::kNormLinear && family.StoresShifted(group.source)) {
          shifted.push_back(group.source);
        }
      }
    }
    if (!shifted.empty() && !plan.mends.zero_centred_norm) WarnOfShifted(shifted, plan);
  }

  void Preprocess(Block& block, RunState& state) override {
    groups_ = Select(state.family, block.info().index);
    ReplaceNorms(block, groups_, state.plan);
    for (const Subgraph& group : groups_) {
      LinearModule& observed = *block.FindLinear(group.targets.front());
      if (observers_.try_emplace(observed.name()).second)
        observed.observers().push_back(&observers_.at(observed.name()));
    }
  }

  void SketchPass(Block& block, const Family& family, const ModelPlan& plan) const override {
    ReplaceNorms(block, Select(family, block.info().index), plan);
  }

  void Postprocess(Block& block, RunState& state) override {
    for (auto& [name, observer] : observers_) std::erase(block.FindLinear(name)->observers(), &observer);
    for (const Subgraph& group : groups_) {
      const ChannelStats& stats = observers_.at(group.targets.front()).stats();
      if (stats.empty()) {
        LogWarning(fmt::format("{} ({}): no token reached {}, so the group of {} keeps its weights", path(), type(),
                               group.targets.front(), group.source));
        continue;
      }
      Apply(block, group, stats);
      ReleaseGroup(block, group, state.keep);
    }
    observers_.clear();
    groups_.clear();
  }

 private:
  std::vector<Subgraph> Select(const Family& family, int block) const {
    return SelectSubgraphs(family, block, options_.types, selects_);
  }

  void WarnOfShifted(const std::vector<std::string>& norms, ModelPlan& plan) const {
    plan.Warn(path(),
              fmt::format("26.1.0 does not bring a norm that {} replaced back to the form it is stored in (w - 1), so "
                          "the saved model computes something else ({} norms, the first is {}); its numbers are "
                          "reproduced. Give --mend zero-centred-norm, or smooth with flex_smooth_quant, for a model "
                          "that still computes the same",
                          type(), norms.size(), norms.front()));
  }

  void ReplaceNorms(Block& block, const std::vector<Subgraph>& groups, const ModelPlan& plan) const {
    for (const Subgraph& group : groups) {
      if (group.type != SubgraphType::kNormLinear) continue;
      NormModule& norm = *block.FindNorm(group.source);
      norm.Replace(AddsNormBias(plan) || norm.bias() != nullptr);
    }
  }

  bool AddsNormBias(const ModelPlan& plan) const {
    return options_.always_norm_bias || !options_.symmetric || plan.december_2025;
  }

  void PlanGroup(const BlockInfo& block, const Subgraph& group, ModelPlan& plan) const {
    if (group.type != SubgraphType::kNormLinear) return;
    const ModuleInfo* norm = nullptr;
    for (const ModuleInfo& module : block.modules) {
      if (module.name == group.source) norm = &module;
    }
    MODELSLIM_CHECK(norm != nullptr);
    const bool has_bias = norm->params.size() > 1;
    if (!has_bias && AddsNormBias(plan)) plan.norm_biases[group.source] = DType::kF32;
    if (options_.symmetric) return;
    for (const std::string& target : group.targets) plan.linear(target).gains_bias = true;
  }

  void Apply(Block& block, const Subgraph& group, const ChannelStats& stats) const {
    const bool norm_linear = group.type == SubgraphType::kNormLinear;
    const bool shifted = norm_linear && !options_.symmetric;
    const Channels a = shifted ? stats.ShiftedAbsMax() : stats.AbsMax();
    const auto statistic = norm_linear ? WeightStatistic::kAbsMax : WeightStatistic::kSignedMax;
    const Channels w = ClampWeightStatistic(ColumnMax(TargetWeights(block, group), statistic));
    const Channels scale = IterSmoothScale(a, w, options_.alpha, options_.scale_min);
    if (group.type == SubgraphType::kOv) {
      ApplyToOv(block, group, ReduceOvMean(scale, HeadsOf(group)));
    } else if (!norm_linear) {
      ApplyToLinears(block, group, scale);
    } else if (shifted) {
      const Channels shift = stats.Shift();
      ApplyToNorm(block, group, scale, &shift);
    } else {
      ApplyToNorm(block, group, scale, nullptr);
    }
  }

  SmoothOptions options_;
  std::function<bool(const std::string&)> selects_;
  std::vector<Subgraph> groups_;
  std::map<std::string, StatsObserver> observers_;
};

}  // namespace

std::unique_ptr<Processor> MakeSmoothQuant(const ProcessorConfig& config) {
  const SmoothQuantConfig& own = *config.As<SmoothQuantConfig>();
  SmoothOptions options;
  options.alpha = own.alpha;
  options.symmetric = own.symmetric;
  options.types = {SubgraphType::kNormLinear};
  options.always_norm_bias = true;
  return std::make_unique<SmoothProcessor>(
      config, std::move(options), [select = own.select](const std::string& name) { return select.Selects(name); });
}

std::unique_ptr<Processor> MakeIterSmooth(const ProcessorConfig& config) {
  const IterSmoothConfig& own = *config.As<IterSmoothConfig>();
  SmoothOptions options;
  options.alpha = own.alpha;
  options.scale_min = static_cast<float>(own.scale_min);
  options.symmetric = own.symmetric;
  options.types = own.enable_subgraph_type;
  return std::make_unique<SmoothProcessor>(
      config, std::move(options), [select = own.select](const std::string& name) { return select.Selects(name); });
}

}  // namespace modelslim
