// Mixture-of-experts dispatch: which rows go to which expert, and bringing them back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/block.h"
#include "ops/experts/routing.h"

namespace modelslim {

// A gated unit by its name inside the block ("mlp.experts.4").
using UnitForward = std::function<Tensor(const std::string& prefix, const ConstView& x, const RowGroups& groups)>;

// Runs every expert that was chosen at least once, in ascending order, on its rows (in token order, grouped by sample):
// y[row] += weight * unit("mlp.experts.E", rows of x, their groups), rounded as ScatterAddRows() does. y [rows, width]
// holds what to add to; results of a narrower type are widened to its type first. Experts without rows are not called.
void ForwardExperts(const Block& block, const Routing& routing, int64_t experts, const ConstView& x,
                    const ForwardContext& context, const UnitForward& unit, const View& y);

}  // namespace modelslim
