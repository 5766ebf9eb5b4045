// A plan in words, and as JSON.
#pragma once

#include <ostream>
#include <string>

#include "app/session.h"

namespace modelslim {

struct PlanTextOptions {
  bool tensors = false;      // a line per output tensor
  uint64_t peak_memory = 0;  // see MemoryPlan::estimated_peak
};

void PrintPlan(const Session& session, const StageBatches& batches, const PlanTextOptions& options, std::ostream& out);
std::string PlanJson(const Session& session, const StageBatches& batches, const PlanTextOptions& options);

}  // namespace modelslim
