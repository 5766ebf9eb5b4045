#include "runner/run_work.h"

namespace modelslim {

RunWork::RunWork(const RunPlan& plan, const StageBatches& batches) : plan_(plan) {
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    if (plan.stages[i].needs_data()) tokens_ += static_cast<double>(batches[i]->offsets.back()) * plan.stages[i].passes;
  }
}

double RunWork::Of(int unit) const {
  constexpr double kMultiplyAddsPerByte = 50;  // what a machine does of one while it does the other, roughly
  const BlockCost& cost = plan_.blocks[static_cast<size_t>(unit)];
  return static_cast<double>(cost.bytes_read + cost.bytes_written) +
         cost.multiply_adds_per_token * tokens_ / kMultiplyAddsPerByte;
}

double RunWork::Before(int unit) const {
  double work = 0;
  for (int i = 0; i < unit; ++i) work += Of(i);
  return work;
}

double RunWork::Total() const { return Before(static_cast<int>(plan_.blocks.size())); }

}  // namespace modelslim
