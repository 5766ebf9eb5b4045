#include "processor/steps/group_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace modelslim {

std::vector<Subgraph> GroupStep::Select(const Family& family, int block) const {
  std::vector<Subgraph> groups = SelectSubgraphs(family, block, types_, select_);
  if (norms_first_) {
    std::stable_partition(groups.begin(), groups.end(),
                          [](const Subgraph& group) { return group.type == SubgraphType::kNormLinear; });
  }
  return groups;
}

std::vector<std::string> GroupStep::Rewrites(const Family& family) const {
  std::vector<std::string> names;
  for (const BlockInfo& block : family.layout().blocks) {
    for (const Subgraph& group : Select(family, block.index)) {
      if (group.type != SubgraphType::kNormLinear) names.push_back(group.source);
      names.insert(names.end(), group.targets.begin(), group.targets.end());
    }
  }
  return names;
}

void GroupStep::Plan(const Family& family, ModelPlan& plan) const {
  RequireSubgraphs(family, path(), type());
  std::vector<Subgraph> all;
  for (const BlockInfo& block : family.layout().blocks) {
    for (Subgraph& group : Select(family, block.index)) {
      PlanGroup(family, block, group, plan);
      all.push_back(std::move(group));
    }
  }
  PlanGroups(family, all, plan);
}

void GroupStep::Preprocess(Block& block, RunState& state) {
  groups_ = Select(state.family, block.info().index);
  Prepare(block, groups_, state);
  for (const Subgraph& group : groups_) {
    LinearModule& observed = *block.FindLinear(group.targets.front());
    const auto [at, added] = observers_.try_emplace(observed.name());
    if (!added) continue;
    at->second = MakeObserver(observed, state);
    observed.observers().push_back(at->second.get());
  }
}

void GroupStep::Postprocess(Block& block, RunState& state) {
  for (auto& [name, observer] : observers_) std::erase(block.FindLinear(name)->observers(), observer.get());
  for (const Subgraph& group : groups_) {
    GroupObserver& observer = *observers_.at(group.targets.front());
    if (observer.empty()) {
      LogWarning(fmt::format("{} ({}): no token reached {}, so the group of {} keeps its weights", path(), type(),
                             group.targets.front(), group.source));
      continue;
    }
    Smooth(block, group, observer, state);
    ReleaseGroup(block, group, state.keep);
  }
  observers_.clear();
  groups_.clear();
}

}  // namespace modelslim
