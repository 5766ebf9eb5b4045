#include "processor/steps/kv_cache.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "processor/linears/quant_spec.h"
#include "processor/steps/subgraphs.h"
#include "quant/activations/activation.h"
#include "quant/smoothing/smooth.h"
#include "quant/smoothing/smooth_kv.h"

namespace modelslim {
namespace {

class KvSmooth : public Processor, public KvObserver {
 public:
  KvSmooth(const ProcessorConfig& config, const KvSmoothConfig& own)
      : Processor(config), factor_(static_cast<float>(own.smooth_factor)), select_(own.select) {}

  bool NeedsData() const override { return true; }
  KvObserver* kv_observer() override { return this; }

  void Plan(const Family& family, ModelPlan&) const override {
    for (const BlockInfo& block : family.layout().blocks) {
      if (!family.KvSmoothUnits(block.index).empty()) return;
    }
    throw Error(ErrorCode::kUnsupported,
                path() + ": kv_smooth has no place to fold its scales in the family " + std::string(family.name()),
                "remove this entry");
  }

  std::vector<std::string> Rewrites(const Family& family) const override {
    std::vector<std::string> names;
    for (const BlockInfo& block : family.layout().blocks) {
      for (const KvSmoothUnit& unit : family.KvSmoothUnits(block.index)) {
        if (unit.into_norm || !select_.Selects(unit.attention)) continue;
        names.push_back(unit.query);
        names.push_back(unit.key);
      }
    }
    return names;
  }

  void Preprocess(Block&, RunState&) override { keys_.clear(); }

  void Observe(const std::string& attention, const ConstView& keys, const ConstView&, const RowGroups&) override {
    keys_[attention].Observe(keys);
  }

  void Postprocess(Block& block, RunState& state) override {
    for (const KvSmoothUnit& unit : state.family.KvSmoothUnits(block.info().index)) {
      if (!select_.Selects(unit.attention)) continue;
      const auto seen = keys_.find(unit.attention);
      if (seen == keys_.end() || seen->second.empty()) {
        LogWarning(fmt::format("{}: no keys were seen in {}, so it stays as it is", path(), unit.attention));
        continue;
      }
      Apply(block, unit, seen->second.AbsMax());
    }
    keys_.clear();
  }

 private:
  void Apply(Block& block, const KvSmoothUnit& unit, const Channels& absmax) const {
    const HeadLayout heads{unit.heads, unit.kv_heads};
    const KvSmoothOptions options{.smooth_factor = factor_};
    if (unit.into_norm) {
      ApplyKvSmoothNorm(block.FindNorm(unit.query)->weight().Mutable(), block.FindNorm(unit.key)->weight().Mutable(),
                        KvSmoothNormScale(absmax, unit.kv_heads, options));
    } else {
      ApplyKvSmoothLinear(MutableLinear(*block.FindLinear(unit.query)), MutableLinear(*block.FindLinear(unit.key)),
                          KvSmoothScale(absmax, heads, options), heads);
    }
  }

  float factor_;
  Selection select_;
  std::map<std::string, ChannelStats> keys_;
};

// What every form of the int8 cache leaves in the output.
class CacheStep : public Processor {
 public:
  CacheStep(const ProcessorConfig& config, const Selection& select) : Processor(config), select_(select) {}

  bool NeedsData() const override { return true; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    for (const BlockInfo& block : family.layout().blocks) {
      for (const std::string& attention : block.attention) {
        if (select_.Selects(attention)) PlanAttention(block, attention, family.layout().dtype, plan);
      }
    }
  }

 protected:
  bool Selects(const std::string& attention) const { return select_.Selects(attention); }
  static std::string KeyOf(const std::string& attention) { return attention + ".k_proj"; }
  static std::string ValueOf(const std::string& attention) { return attention + ".v_proj"; }

 private:
  // The types are those of the states, which PlanKvTypes() tells.
  void PlanAttention(const BlockInfo& block, const std::string& attention, DType model_dtype, ModelPlan& plan) const {
    PlannedKvScales scales{KeyOf(attention), ValueOf(attention), 0, 0, model_dtype, model_dtype};
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      if (module.name == scales.key) scales.keys = module.out_features();
      if (module.name == scales.value) scales.values = module.out_features();
    }
    if (scales.keys == 0 || scales.values == 0) {
      throw Error(ErrorCode::kUnsupported,
                  path() + ": " + attention + " has no k_proj and v_proj, which the C8 format names its scales after",
                  "exclude this attention");
    }
    plan.decisions.facts.push_back({attention, std::move(scales)});
  }

  Selection select_;
};

class DynamicCache : public CacheStep, public KvObserver {
 public:
  DynamicCache(const ProcessorConfig& config, const DynamicCacheConfig& own)
      : CacheStep(config, own.select), spec_(ToActivationSpec(own.qconfig)) {}

  KvObserver* kv_observer() override { return this; }

  void PlanKvTypes(const std::string& attention, DType keys, DType values, ModelPlan& plan) const override {
    if (!Selects(attention)) return;
    for (PlannedFact& fact : plan.decisions.facts) {
      auto* const scales = std::get_if<PlannedKvScales>(&fact.what);
      if (scales == nullptr || fact.module != attention) continue;
      scales->key_dtype = keys;
      scales->value_dtype = values;
    }
  }

  void Preprocess(Block&, RunState&) override { observed_.clear(); }

  void Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
               const RowGroups& groups) override {
    if (!Selects(attention)) return;
    auto& [key, value] =
        observed_.try_emplace(attention, ActivationQuantizer(spec_), ActivationQuantizer(spec_)).first->second;
    key.Calibrate(keys, groups.offsets, View{});
    value.Calibrate(values, groups.offsets, View{});
  }

  void Postprocess(Block& block, RunState& state) override {
    for (const std::string& attention : block.info().attention) {
      if (!Selects(attention)) continue;
      const auto seen = observed_.find(attention);
      if (seen == observed_.end()) {
        throw Error(ErrorCode::kSpec, path() + ": no keys and values were seen in " + attention,
                    "use a calibration set with at least one sample");
      }
      state.facts[attention].push_back(
          KvScales{KeyOf(attention), ValueOf(attention), *seen->second.first.params(), *seen->second.second.params()});
    }
    observed_.clear();
  }

 private:
  ActivationSpec spec_;
  std::map<std::string, std::pair<ActivationQuantizer, ActivationQuantizer>> observed_;
};

// A float Linear whose output is looked at.
class WatchedForward : public LinearForward {
 public:
  explicit WatchedForward(ChannelStats& stats) : stats_(stats) {}

  std::shared_ptr<ActivationStage>& activation() override { return none_; }
  Tensor Apply(LinearModule& module, const ConstView& x) override {
    Tensor y = module.FloatForward(x);
    stats_.Observe(std::as_const(y).view());
    return y;
  }
  void Release(LinearModule&, Keep) override {}

 private:
  ChannelStats& stats_;
  std::shared_ptr<ActivationStage> none_;
};

// modelslim_v0: symmetric, from the largest magnitude of all samples, of what the projections put out in the float
// model. The parameters have the model's type.
class ProjectedCache : public CacheStep {
 public:
  ProjectedCache(const ProcessorConfig& config, const DynamicCacheConfig& own) : CacheStep(config, own.select) {}

  void Preprocess(Block& block, RunState&) override {
    seen_.clear();
    for (const std::string& attention : block.info().attention) {
      if (!Selects(attention)) continue;
      for (const std::string& name : {KeyOf(attention), ValueOf(attention)}) {
        LinearModule& projection = *block.FindLinear(name);
        MODELSLIM_CHECK(projection.forward() == nullptr);  // nothing is quantized yet
        projection.forward() = std::make_unique<WatchedForward>(seen_[name]);
      }
    }
  }

  void Postprocess(Block& block, RunState& state) override {
    const DType dtype = state.family.layout().dtype;
    for (const std::string& attention : block.info().attention) {
      if (!Selects(attention)) continue;
      const std::string key = KeyOf(attention), value = ValueOf(attention);
      for (const std::string& name : {key, value}) block.FindLinear(name)->forward().reset();
      state.facts[attention].push_back(
          KvScales{key, value, Parameters(seen_.at(key), dtype), Parameters(seen_.at(value), dtype)});
    }
    seen_.clear();
  }

 private:
  static AffineTable Parameters(const ChannelStats& seen, DType dtype) {
    const Channels largest = seen.AbsMax();
    Channels least = largest;
    for (float& each : least.values) each = -each;
    AffineTable params =
        TableFromRanges(least.values, largest.values, largest.dtype, IntFormat{8, true}, ParamAxis::kColumn);
    params.offset.clear();
    params.dtype = dtype;
    return params;
  }

  std::map<std::string, ChannelStats> seen_;
};

}  // namespace

std::unique_ptr<Processor> MakeKvSmooth(const ProcessorConfig& config) {
  return std::make_unique<KvSmooth>(config, *config.As<KvSmoothConfig>());
}

std::unique_ptr<Processor> MakeDynamicCache(const ProcessorConfig& config) {
  const DynamicCacheConfig& own = *config.As<DynamicCacheConfig>();
  if (own.before_rope) return std::make_unique<ProjectedCache>(config, own);
  return std::make_unique<DynamicCache>(config, own);
}

}  // namespace modelslim
