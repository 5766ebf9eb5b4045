#include "processor/steps/flex_smooth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "base/log.h"
#include "processor/linears/quant_spec.h"
#include "processor/observing/token_store.h"
#include "processor/steps/group_step.h"

#include "quant/activations/activation.h"
#include "quant/smoothing/smooth.h"
#include "quant/smoothing/smooth_search.h"

namespace modelslim {
namespace {

// Statistics of what enters a group's first target and, while a search wants them, all its rows.
class FlexObserver : public GroupObserver {
 public:
  // `tokens` may be null.
  explicit FlexObserver(std::unique_ptr<TokenStore> tokens) : tokens_(std::move(tokens)) {}
  void Observe(const ConstView& x, const RowGroups&) override {
    stats_.Observe(x);
    if (tokens_) tokens_->Append(x);
  }
  bool empty() const override { return stats_.empty(); }
  const ChannelStats& stats() const { return stats_; }
  ConstView Tokens() { return tokens_->Rows(); }

 private:
  ChannelStats stats_;
  std::unique_ptr<TokenStore> tokens_;
};

// Rows of several weights of one type and width as one matrix.
Tensor Concatenated(const std::vector<ConstView>& weights, size_t count) {
  int64_t rows = 0;
  for (size_t i = 0; i < count; ++i) rows += weights[i].rows();
  Tensor all(weights.front().dtype, {rows, weights.front().cols()});
  auto* to = static_cast<std::byte*>(all.view().data);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to, weights[i].data, weights[i].bytes());
    to += weights[i].bytes();
  }
  return all;
}

// What the steps that may search have in common; what the scale is, they say.
class FlexStep : public GroupStepOf<FlexObserver> {
 public:
  using GroupStepOf::GroupStepOf;

  StepMemory Memory(const MemoryQuestion& question) const override {
    StepMemory memory;
    if (!Searches()) return memory;
    for (const Subgraph& group : Select(question.family, question.block.index)) {
      SearchSize size;
      size.tokens = question.TokensInto(group.targets.front());
      for (const ModuleInfo& module : question.block.modules) {
        if (std::find(group.targets.begin(), group.targets.end(), module.name) == group.targets.end()) continue;
        size.channels = module.in_features();
        size.dtype = module.params.front().dtype;
        size.outs.push_back(module.out_features());
      }
      memory.finishing = std::max(memory.finishing, SearchBytes(size));
    }
    return memory;
  }

 protected:
  struct SearchSize {
    int64_t tokens = 0, channels = 0;
    std::vector<int64_t> outs;  // rows of each target's weight
    DType dtype = DType::kF32;
  };
  virtual uint64_t SearchBytes(const SearchSize& size) const = 0;
  virtual bool Searches() const = 0;

  std::unique_ptr<GroupObserver> MakeObserver(LinearModule& observed, RunState& state) const override {
    return std::make_unique<FlexObserver>(
        Searches() ? std::make_unique<TokenStore>(state.scratch, observed.weight().dtype()) : nullptr);
  }
};

class FlexSmooth : public FlexStep {
 public:
  FlexSmooth(const ProcessorConfig& config, const FlexSmoothConfig& own)
      : FlexStep(config, own.enable_subgraph_type, own.select), alpha_(own.alpha), beta_(own.beta) {}

 protected:
  uint64_t SearchBytes(const SearchSize& size) const override {
    return FlexSmoothBytes(size.tokens, size.channels, std::accumulate(size.outs.begin(), size.outs.end(), int64_t{0}),
                           size.dtype);
  }
  // Either one missing means that both are searched, as in the reference.
  bool Searches() const override { return !alpha_ || !beta_; }

  void SmoothGroup(Block& block, const Subgraph& group, FlexObserver& observer, RunState&) const override {
    const std::vector<ConstView> weights = TargetWeights(block, group);
    double alpha = alpha_.value_or(0), beta = beta_.value_or(0);
    if (Searches()) {
      const FlexSearchResult found = FlexSmoothSearch(observer.Tokens(), weights);
      alpha = found.alpha;
      beta = found.beta;
      LogDebug(
          fmt::format("{}: {} alpha {:.2f} beta {:.2f} error {:.5f}", path(), group.source, alpha, beta, found.error));
    }
    const Channels a = observer.stats().AbsMax();
    const Channels w = ClampWeightStatistic(ColumnMax(weights));
    if (group.type != SubgraphType::kOv) {
      ApplyToChannels(block, group, FlexSmoothScale(a, w, alpha, beta));
    } else if (group.group_max) {
      ApplyToOv(block, group, FlexOvScale(a, w, alpha, beta, HeadsOf(group)));
    } else {
      ApplyToOv(block, group, ReduceOvMean(FlexSmoothScale(a, w, alpha, beta), HeadsOf(group)));
    }
  }

 private:
  std::optional<double> alpha_, beta_;
};

class FlexAwqSsz : public FlexStep {
 public:
  FlexAwqSsz(const ProcessorConfig& config, const FlexAwqSszConfig& own)
      : FlexStep(config, own.enable_subgraph_type, own.select),
        alpha_(own.alpha),
        weight_(ToWeightSpec(own.qconfig.weight)) {
    if (own.qconfig.act && own.qconfig.act->dtype != QDType::kFloat) activation_ = ToActivationSpec(*own.qconfig.act);
  }

 protected:
  uint64_t SearchBytes(const SearchSize& size) const override {
    const auto count = static_cast<int64_t>(Looked(size.outs.size()));
    const int64_t out = std::accumulate(size.outs.begin(), size.outs.begin() + count, int64_t{0});
    return static_cast<uint64_t>(out * size.channels) * DTypeSize(size.dtype) +  // put together for the search
           FlexAwqBytes(size.tokens, size.channels, out, size.dtype);
  }
  bool Searches() const override { return !alpha_; }

  void SmoothGroup(Block& block, const Subgraph& group, FlexObserver& observer, RunState&) const override {
    const double alpha = alpha_ ? *alpha_ : Search(block, group, observer);
    const DType dtype = block.FindLinear(group.targets.front())->weight().dtype();
    const Channels mean = observer.stats().AbsMean(dtype);
    if (group.type == SubgraphType::kOv) {
      OvScale scale;
      scale.value = FlexAwqScale(ReduceHeadsMax(mean, HeadsOf(group)), alpha);
      scale.output = ExpandHeads(scale.value, HeadsOf(group));
      ApplyToOv(block, group, scale);
    } else {
      ApplyToChannels(block, group, FlexAwqScale(mean, alpha));
    }
  }

 private:
  // The reference looks at all targets of a norm if they are at most three, else at the first two.
  static size_t Looked(size_t targets) { return targets <= 3 ? targets : 2; }

  double Search(Block& block, const Subgraph& group, FlexObserver& observer) const {
    const std::vector<ConstView> weights = TargetWeights(block, group);
    const Tensor weight = Concatenated(weights, Looked(weights.size()));
    TrialQuantizer trial;
    trial.weight = [this](const ConstView& w) { return Dequantize(QuantizeWeight(w, weight_), DType::kF32); };
    if (activation_) trial.activation = [this](const ConstView& x) { return FakeQuantized(x); };
    LinearModule& first = *block.FindLinear(group.targets.front());
    if (group.targets.size() == 1 && first.bias() != nullptr) trial.bias = first.bias()->Get();
    const AlphaSearchResult found = FlexAwqSearch(observer.Tokens(), std::as_const(weight).view(), trial);
    LogDebug(fmt::format("{}: {} alpha {:.2f} error {:.5f}", path(), group.source, found.alpha, found.error));
    return found.alpha;
  }

  // As a deployed layer treats its input; a static range is first taken from the same tokens.
  Tensor FakeQuantized(const ConstView& x) const {
    const int64_t offsets[] = {0, x.rows()};
    DeployedActivation deployed;
    deployed.spec = *activation_;
    if (!IsDataFree(*activation_)) {
      ActivationQuantizer quantizer(*activation_);
      quantizer.Calibrate(x, offsets, View{});
      deployed.fixed = *quantizer.params();
    }
    Tensor out(DType::kF32, x.shape);
    FakeQuantizeDeployed(deployed, x, offsets, out.view());
    return out;
  }

  std::optional<double> alpha_;
  WeightSpec weight_;
  std::optional<ActivationSpec> activation_;
};

}  // namespace

std::unique_ptr<Processor> MakeFlexSmooth(const ProcessorConfig& config) {
  const FlexSmoothConfig& own = *config.As<FlexSmoothConfig>();
  auto step = std::make_unique<FlexSmooth>(config, own);
  if (own.norms_first) step->PutNormsFirst();
  return step;
}

std::unique_ptr<Processor> MakeFlexAwqSsz(const ProcessorConfig& config) {
  return std::make_unique<FlexAwqSsz>(config, *config.As<FlexAwqSszConfig>());
}

}  // namespace modelslim
