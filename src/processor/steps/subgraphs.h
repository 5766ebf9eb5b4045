// What the smoothing processors share: choosing the groups of a block, looking up their modules, handing results back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/family.h"
#include "processor/model_plan.h"
#include "quant/rotation/rotation_norm.h"
#include "quant/smoothing/smooth_apply.h"

namespace modelslim {

// Groups of `block` that are selected, in processing order: up-down, ov, linear-linear, norm-linear, ties as the family
// declares them. `selects` is asked about the source's name.
std::vector<Subgraph> SelectSubgraphs(const Family& family, int block, const std::vector<SubgraphType>& enabled,
                                      const std::function<bool(const std::string&)>& selects);

// The Linears among sources and targets of the selected groups of all blocks.
std::vector<std::string> LinearsOf(const Family& family, const std::vector<SubgraphType>& enabled,
                                   const std::function<bool(const std::string&)>& selects);

// Throws Error(kUnsupported) unless the family declares groups at all.
void RequireSubgraphs(const Family& family, const std::string& path, const std::string& type);

// Views of live parameters for the functions of quant/. Valid until the parameters change.
LinearParams MutableLinear(LinearModule& linear);
NormParams MutableNorm(NormModule& norm);
// Weights of all targets, for reading.
std::vector<ConstView> TargetWeights(Block& block, const Subgraph& group);
HeadLayout HeadsOf(const Subgraph& group);
std::optional<RowRanges> ValueRows(const Subgraph& group, LinearModule& source);

// Drops what a step has read of a group's weights and `keep` does not cover. Scales that ApplyToLinears noted stay
// noted.
void ReleaseGroup(Block& block, const Subgraph& group, Keep keep);

// Applies a scale to a group of two linears. It is noted and put in whenever the weights are read, as a rotation is, so
// that a smoothed expert need not stay in memory.
void ApplyToLinears(Block& block, const Subgraph& group, const Channels& scale);
void ApplyToOv(Block& block, const Subgraph& group, const OvScale& scale);
// Applies a scale, and a shift if there is one, to a norm-linear group. Consumers that need a bias get one.
void ApplyToNorm(Block& block, const Subgraph& group, const Channels& scale, const Channels* shift);

}  // namespace modelslim
