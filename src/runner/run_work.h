// How much of a run is done, for the progress bar.
#pragma once

#include "plan/plan.h"
#include "runner/run.h"

namespace modelslim {

// Work in bytes moved, a forward counting as what it multiplies. A unit is a block or, last, what is outside of them.
class RunWork {
 public:
  // `plan` must outlive it.
  RunWork(const RunPlan& plan, const StageBatches& batches);

  double Of(int unit) const;
  double Before(int unit) const;
  double Total() const;

 private:
  const RunPlan& plan_;
  double tokens_ = 0;  // through each block, every pass counted
};

}  // namespace modelslim
