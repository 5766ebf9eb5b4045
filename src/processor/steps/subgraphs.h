// What the smoothing processors share: choosing the groups of a block, looking up their modules, handing results back.
#pragma once

#include <string>
#include <vector>

#include "config/patterns/pattern_list.h"
#include "model/block.h"
#include "model/family.h"
#include "processor/model_plan.h"
#include "quant/module_params.h"
#include "quant/smoothing/smooth_apply.h"

namespace modelslim {

// Groups of `block` that are selected, in processing order: up-down, ov, linear-linear, norm-linear, ties as the family
// declares them. `select` is asked about the source's name.
std::vector<Subgraph> SelectSubgraphs(const Family& family, int block, const std::vector<SubgraphType>& enabled,
                                      const Selection& select);

// Throws Error(kUnsupported) unless the family declares groups at all.
void RequireSubgraphs(const Family& family, const std::string& path, const std::string& type);

// Views of live parameters for the functions of quant/. Valid until the parameters change.
LinearParams MutableLinear(LinearModule& linear);
NormParams MutableNorm(NormModule& norm);
// Weights of all targets, for reading.
std::vector<ConstView> TargetWeights(Block& block, const Subgraph& group);
HeadLayout HeadsOf(const Subgraph& group);
std::optional<RowRanges> ValueRows(const Subgraph& group, LinearModule& source);

// Drops what a step has read of a group's weights and `keep` does not cover. Scales that ApplyToChannels noted stay
// noted.
void ReleaseGroup(Block& block, const Subgraph& group, Keep keep);

// Applies a scale to the channels between a source and its targets; ov groups have one of their own.
//
// Between two linears it is noted and put in whenever the weights are read, as a rotation is, so that a smoothed expert
// need not stay in memory. Behind a norm there may be a shift too; consumers that need a bias then get one.
void ApplyToChannels(Block& block, const Subgraph& group, const Channels& scale, const Channels* shift = nullptr);
void ApplyToOv(Block& block, const Subgraph& group, const OvScale& scale);

}  // namespace modelslim
