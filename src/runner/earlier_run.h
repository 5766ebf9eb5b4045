// The journal of a run, and what an earlier run of the same left behind.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runner/hidden_ring.h"
#include "runner/journal.h"
#include "runner/run.h"

namespace modelslim {

struct EarlierRun {
  std::unique_ptr<Journal> journal;
  bool resumes = false;
  int first_unit = 0;  // that is still to be done
  UnitFacts facts;     // of those before it
};

// Opens the journal in the directory `work` and decides where to begin: an earlier run counts only if everything that
// it left is as its journal says, and is else given up, with a warning that says why. `hidden`: of the stages that
// need data, brought to where the next block reads.
EarlierRun OpenEarlierRun(const fs::path& work, const std::string& identity, const RunPlan& plan,
                          const RunOptions& options, const std::vector<HiddenRing*>& hidden);

}  // namespace modelslim
