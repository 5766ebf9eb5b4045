#include "processor/steps/float_sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "processor/observing/input_tape.h"
#include "quant/moments/gptq.h"
#include "quant/moments/sparse.h"

namespace modelslim {
namespace {

// Every sample is one entry of the statistics, as every forward of the reference is.
class SparseObserver : public InputObserver {
 public:
  SparseObserver(const fs::path& scratch, int64_t channels)
      : channels_(channels), inputs_(scratch, channels, [this](InputTape& tape) { Fold(tape); }) {}
  void Observe(const ConstView& x, const RowGroups& groups) override { inputs_.Add(x, groups); }
  int64_t rows() const { return inputs_.rows(); }
  const SparseStats& Stats() {
    inputs_.Finish();
    return *stats_;
  }

 private:
  void Fold(InputTape& tape) {
    if (!stats_) stats_.emplace(channels_);
    for (const InputTape::Chunk& sample : tape.chunks()) {
      stats_->Add(tape.Rows(sample.begin, sample.begin + sample.offsets.back()));
    }
  }

  int64_t channels_;
  WaitingInputs inputs_;
  std::optional<SparseStats> stats_;
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
        LinearDecision& decision = plan.decisions.linear(module.name);
        if (!decision.by.empty()) {
          decision.shadowed.push_back(path());
          continue;
        }
        decision.mode = QuantMode::kW16A16S;
        decision.by = path();
      }
    }
  }

  StepMemory Memory(const MemoryQuestion& question) const override {
    constexpr uint64_t kHeap = uint64_t{256} << 10;  // where matrices are small, what they leave in it between steps
    StepMemory memory;
    memory.finishing = kHeap;
    for (const ModuleInfo& module : question.block.modules) {
      if (module.kind != ModuleKind::kLinear || question.plan.decisions.linear(module.name).by != path()) continue;
      const int64_t in = module.in_features();
      const bool early = question.TokensInto(module.name) * static_cast<int64_t>(DTypeSize(question.dtype)) >=
                         in * static_cast<int64_t>(sizeof(float));
      if (early) memory.watching += SecondMomentBytes(in);
      memory.finishing =
          std::max(memory.finishing, kHeap + SparsifyBytes(module.out_features(), in, module.params.front().dtype) +
                                         (early ? 0 : SecondMomentBytes(in)));
      memory.kept += WeightBytes(module);
    }
    return memory;
  }

  void Preprocess(Block& block, RunState& state) override {
    for (LinearModule* module : block.linears()) {
      const auto decision = state.plan.decisions.linears.find(module->name());
      if (decision->second.by != path()) continue;
      const auto made = observers_.try_emplace(module->name(), state.scratch, module->info().in_features());
      module->observers().push_back(&made.first->second);
    }
  }

  void Postprocess(Block& block, RunState&) override {
    while (!observers_.empty()) {
      const auto next = observers_.begin();
      auto& [name, observer] = *next;
      LinearModule& module = *block.FindLinear(name);
      std::erase(module.observers(), &observer);
      if (observer.rows() > 0) {
        module.weight().Set(
            AdmmSparsify(module.weight().Get(), observer.Stats(), options_, module.weight().name()).weight);
      } else {
        LogWarning(fmt::format("{} (float_sparse): no token reached {}, so it is not pruned", path(), name));
      }
      observers_.erase(next);
    }
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
