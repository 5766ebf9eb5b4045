#include "processor/steps/group.h"

#include <algorithm>
#include <utility>

namespace modelslim {
namespace {

// Keys and values of one forward, handed to every member that wants them.
class KvFanout : public KvObserver {
 public:
  explicit KvFanout(std::vector<KvObserver*> observers) : observers_(std::move(observers)) {}
  void Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
               const RowGroups& groups) override {
    for (KvObserver* observer : observers_) observer->Observe(attention, keys, values, groups);
  }
  bool empty() const { return observers_.empty(); }

 private:
  std::vector<KvObserver*> observers_;
};

class Group : public Processor {
 public:
  Group(const ProcessorConfig& config, std::vector<std::unique_ptr<Processor>> members)
      : Processor(config), members_(std::move(members)), kv_(KvObservers()) {}

  bool NeedsData() const override {
    return std::any_of(members_.begin(), members_.end(), [](const auto& member) { return member->NeedsData(); });
  }
  KvObserver* kv_observer() override { return kv_.empty() ? nullptr : &kv_; }
  void Plan(const Family& family, ModelPlan& plan) const override {
    for (const auto& member : members_) {
      RefuseQuantized(*member, family, plan);
      member->Plan(family, plan);
    }
    // All of them change the block after the one forward that they share, and the codes are those of that forward.
    for (const auto& member : members_) RefuseQuantized(*member, family, plan);
  }
  void SketchPass(Block& block, const Family& family, const ModelPlan& plan) const override {
    for (const auto& member : members_) member->SketchPass(block, family, plan);
  }
  void SketchResult(Block& block, const Family& family, const ModelPlan& plan) const override {
    for (const auto& member : members_) member->SketchResult(block, family, plan);
  }
  void PlanKvTypes(const std::string& attention, DType keys, DType values, ModelPlan& plan) const override {
    for (const auto& member : members_) member->PlanKvTypes(attention, keys, values, plan);
  }
  StepMemory Memory(const MemoryQuestion& question) const override {
    StepMemory memory;
    for (const auto& member : members_) memory.Add(member->Memory(question));
    return memory;
  }
  void PreRun(RunState& state) override {
    for (auto& member : members_) member->PreRun(state);
  }
  void Preprocess(Block& block, RunState& state) override {
    for (auto& member : members_) member->Preprocess(block, state);
  }
  void Postprocess(Block& block, RunState& state) override {
    for (auto& member : members_) member->Postprocess(block, state);
  }
  bool ForwardsAgain() const override {
    return std::any_of(members_.begin(), members_.end(), [](const auto& member) { return member->ForwardsAgain(); });
  }
  void PostRun(RunState& state) override {
    for (auto& member : members_) member->PostRun(state);
  }

 private:
  std::vector<KvObserver*> KvObservers() {
    std::vector<KvObserver*> observers;
    for (auto& member : members_) {
      if (KvObserver* observer = member->kv_observer()) observers.push_back(observer);
    }
    return observers;
  }

  std::vector<std::unique_ptr<Processor>> members_;
  KvFanout kv_;
};

}  // namespace

std::unique_ptr<Processor> MakeGroup(const ProcessorConfig& config, const Family& family) {
  return std::make_unique<Group>(config, MakeProcessors(config.As<GroupConfig>()->configs, family));
}

}  // namespace modelslim
