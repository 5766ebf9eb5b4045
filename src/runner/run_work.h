// How much of a run is done, for the progress bar.
#pragma once

#include "data/batch.h"
#include "plan/plan.h"

namespace modelslim {

// Work in bytes moved, a forward counting as what it multiplies. A unit is a block or, last, what is outside of them.
class RunWork {
 public:
  // `batch` may be null. Both must outlive it.
  RunWork(const RunPlan& plan, const TokenBatch* batch);

  double Of(int unit) const;
  double Before(int unit) const;
  double Total() const;

 private:
  const RunPlan& plan_;
  double tokens_ = 0;
};

}  // namespace modelslim
