#include "processor/step_memory.h"

#include <algorithm>

namespace modelslim {

void StepMemory::Add(const StepMemory& other) {
  codes += other.codes;
  watching += other.watching;
  finishing = std::max(finishing, other.finishing);
  kept += other.kept;
  runs_again = runs_again || other.runs_again;
}

SharedInputs::SharedInputs(const Family& family) {
  const std::optional<RotationPlan> rotations = family.Rotations();
  if (!rotations) return;
  for (const NormFusion& fusion : rotations->fusions) {
    for (const std::string& linear : fusion.linears) norm_of_.emplace(linear, fusion.norms.front());
  }
}

std::string SharedInputs::Of(std::string_view linear) const {
  const auto norm = norm_of_.find(linear);
  return norm == norm_of_.end() ? std::string(linear) : norm->second + " " + ExpertOf(linear);
}

int64_t MemoryQuestion::TokensInto(std::string_view linear) const {
  const Family::ExpertCount count = family.Experts(block.index);
  if (count.experts == 0 || ExpertOf(linear).empty()) return tokens;
  return std::min(tokens, (tokens * count.chosen + count.experts - 1) / count.experts);
}

uint64_t WeightBytes(const ModuleInfo& linear) {
  return static_cast<uint64_t>(NumElements(linear.params.front().shape)) * DTypeSize(linear.params.front().dtype);
}

}  // namespace modelslim
