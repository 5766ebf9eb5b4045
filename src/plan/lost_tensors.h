// What of the source no output holds, and whether the user has agreed to that.
#pragma once

#include <string>
#include <vector>

#include "model/unused_tensors.h"

namespace modelslim {

// Throws Error(kInvalidModel) listing every tensor that would be lost, by reason and with its bytes, unless it matches
// one of the `drop` patterns (--drop) or the original leaves it out as well. Returns patterns of `drop` that match
// nothing that is unused.
std::vector<std::string> CheckLosses(const std::vector<UnusedTensors>& unused, const std::vector<std::string>& drop,
                                     const std::string& model);

// A line for every group, under a heading for every reason: "reason: N tensors, BYTES" and, indented, what they are.
std::vector<std::string> LossLines(const std::vector<UnusedTensors>& unused);

}  // namespace modelslim
