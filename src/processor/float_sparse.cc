#include "processor/float_sparse.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "base/log.h"
#include "quant/sparse.h"

namespace modelslim {
namespace {

// Every sample is one entry of the statistics, as every forward of the reference is.
class SparseObserver : public InputObserver {
 public:
  explicit SparseObserver(int64_t channels) : stats_(channels) {}
  void Observe(const ConstView& x, const RowGroups& groups) override {
    for (int64_t s = 0; s < groups.samples(); ++s) {
      if (groups.offsets[s] < groups.offsets[s + 1]) stats_.Add(x.Rows(groups.offsets[s], groups.offsets[s + 1]));
    }
  }
  const SparseStats& stats() const { return stats_; }

 private:
  SparseStats stats_;
};

class FloatSparse : public Processor {
 public:
  FloatSparse(const ProcessorConfig& config, const FloatSparseConfig& own) : Processor(config), select_(own.select) {
    options_.sparse_ratio = own.sparse_ratio;
  }

  bool NeedsData() const override { return true; }
  // What the next block reads comes from the pruned weights.
  bool ForwardsAgain() const override { return true; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    for (const BlockInfo& block : family.layout().blocks) {
      for (const ModuleInfo& module : block.modules) {
        if (module.kind != ModuleKind::kLinear || !select_.Selects(module.name)) continue;
        LinearDecision& decision = plan.linear(module.name);
        if (!decision.by.empty()) {
          decision.shadowed.push_back(path());
          continue;
        }
        decision.mode = QuantMode::kW16A16S;
        decision.by = path();
      }
    }
  }

  void Preprocess(Block& block, RunState& state) override {
    for (LinearModule* module : block.linears()) {
      const auto decision = state.plan.linears.find(module->name());
      if (decision->second.by != path()) continue;
      const auto made = observers_.try_emplace(module->name(), module->info().in_features());
      module->observers().push_back(&made.first->second);
    }
  }

  void Postprocess(Block& block, RunState&) override {
    for (auto& [name, observer] : observers_) {
      LinearModule& module = *block.FindLinear(name);
      std::erase(module.observers(), &observer);
      if (observer.stats().entries() == 0) {
        LogWarning(fmt::format("{} (float_sparse): no token reached {}, so it is not pruned", path(), name));
        continue;
      }
      module.weight().Set(
          AdmmSparsify(module.weight().Get(), observer.stats(), options_, module.weight().name()).weight);
    }
    observers_.clear();
  }

 private:
  SparseOptions options_;
  Selection select_;
  std::map<std::string, SparseObserver> observers_;
};

}  // namespace

std::unique_ptr<Processor> MakeFloatSparse(const ProcessorConfig& config) {
  return std::make_unique<FloatSparse>(config, *config.As<FloatSparseConfig>());
}

}  // namespace modelslim
