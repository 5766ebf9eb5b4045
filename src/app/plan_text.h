// A plan in words, and as JSON.
#pragma once

#include <ostream>
#include <string>

#include "app/session.h"

namespace modelslim {

struct PlanTextOptions {
  bool tensors = false;       // a line per output tensor
  uint64_t memory_limit = 0;  // 0: 80 % of what the machine offers
};

void PrintPlan(const Session& session, const TokenBatch* batch, const PlanTextOptions& options, std::ostream& out);
std::string PlanJson(const Session& session, const TokenBatch* batch, const PlanTextOptions& options);

}  // namespace modelslim
