// Carries out a plan: walks the blocks, forwards the calibration samples, writes what is finished.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "plan/plan.h"
#include "runner/ledger.h"
#include "runner/memory_plan.h"

namespace modelslim {

struct RunOptions {
  fs::path model_path, save_path;
  MemoryPlan memory;           // of this plan, batch and measure_errors
  bool fresh = false;          // forget an interrupted run
  bool measure_errors = true;  // quantization error of every weight, for the ledger
  bool show_progress = true;
  IdleExperts idle_experts = IdleExperts::kReject;
  // Called when every file of the output lies beside its name (Unpublished) and before one gets it; throws when
  // something is wrong with them, and nothing is published then. May be empty.
  std::function<void()> check;
};

struct StageTime {
  std::string name;
  double seconds = 0;
};

struct RunReport {
  UnitFacts facts;  // of all units
  std::vector<StageTime> stages;
  double seconds = 0;
  int64_t forwards = 0;  // block forwards of the whole calibration set
  int64_t tokens = 0;    // in the calibration set
  int resumed_units = 0;
  int units = 0;
  uint64_t output_bytes = 0;  // of the tensors
  double gemm_flops = 0;      // of the Linears in all forwards
};

// `identity` names the run for the journal (PlanIdentity). `batch` may be null when the plan needs no data. On Ctrl-C
// throws Stopped after recording what is finished; on any error what was finished before stays recorded too.
RunReport Execute(RunPlan& plan, const WeightSource& source, const TokenBatch* batch, const std::string& identity,
                  const RunOptions& options);

}  // namespace modelslim
