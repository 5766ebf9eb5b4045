// The walk over smoothing groups: what smooth_quant, iter_smooth, flex_smooth_quant, flex_awq_ssz and awq have in
// common. A step says what it keeps of the activations in front of a group and what it does with the group then.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/patterns/pattern_list.h"
#include "processor/processor.h"
#include "processor/steps/subgraphs.h"

namespace modelslim {

// What a group's first target reads, seen in sample order.
class GroupObserver : public InputObserver {
 public:
  virtual bool empty() const = 0;  // no row so far
};

class GroupStep : public Processor {
 public:
  GroupStep(const ProcessorConfig& config, std::vector<SubgraphType> types, Selection select)
      : Processor(config), types_(std::move(types)), select_(std::move(select)) {}

  // The groups behind norms are smoothed before the others, and not after them.
  void PutNormsFirst() { norms_first_ = true; }

  bool NeedsData() const override { return true; }
  std::vector<std::string> Rewrites(const Family& family) const override;
  // Groups of the family are there at all; PlanGroup for each of those selected, then PlanGroups.
  void Plan(const Family& family, ModelPlan& plan) const final;

  void Preprocess(Block& block, RunState& state) override;
  // Groups that no token reached keep their weights, with a warning.
  void Postprocess(Block& block, RunState& state) override;

 protected:
  // Those of the block that the step changes, in processing order.
  std::vector<Subgraph> Select(const Family& family, int block) const;

  virtual void PlanGroup(const Family&, const BlockInfo&, const Subgraph&, ModelPlan&) const {}
  // Of all blocks.
  virtual void PlanGroups(const Family&, const std::vector<Subgraph>&, ModelPlan&) const {}
  // Before the forward.
  virtual void Prepare(Block&, const std::vector<Subgraph>& /*groups*/, RunState&) const {}
  virtual std::unique_ptr<GroupObserver> MakeObserver(LinearModule& observed, RunState& state) const = 0;
  // After it; `observer` is what MakeObserver() made, and has seen rows.
  virtual void Smooth(Block& block, const Subgraph& group, GroupObserver& observer, RunState& state) const = 0;

 private:
  std::vector<SubgraphType> types_;
  Selection select_;
  bool norms_first_ = false;
  std::vector<Subgraph> groups_;
  std::map<std::string, std::unique_ptr<GroupObserver>> observers_;  // by the Linear they stand at
};

// A GroupStep whose observers are all of one type.
template <class Observer>
class GroupStepOf : public GroupStep {
 public:
  using GroupStep::GroupStep;

 protected:
  virtual void SmoothGroup(Block& block, const Subgraph& group, Observer& observer, RunState& state) const = 0;

 private:
  void Smooth(Block& block, const Subgraph& group, GroupObserver& observer, RunState& state) const final {
    SmoothGroup(block, group, static_cast<Observer&>(observer), state);
  }
};

}  // namespace modelslim
