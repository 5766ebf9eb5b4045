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

// The samples of every stage; null where it needs none.
using StageBatches = std::vector<const TokenBatch*>;

struct RunOptions {
  fs::path model_path, save_path;
  fs::path work;               // directory for what a run keeps between blocks; empty: the one of save_path
  MemoryPlan memory;           // of this plan, its batches and measure_errors
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
  int64_t forwards = 0;  // of blocks, each of all samples of a stage
  int64_t tokens = 0;    // in the calibration set of the last stage that has one
  int resumed_units = 0;
  int units = 0;
  uint64_t output_bytes = 0;  // of the tensors
  double gemm_flops = 0;      // of the Linears in all forwards
  InputRanges ranges;         // where a step of the plan looks for them
};

// `identity` names the run for the journal (PlanIdentity). `batches` has an entry for every stage of the plan. On
// Ctrl-C throws Stopped after recording what is finished; on any error what was finished before stays recorded too.
RunReport Execute(RunPlan& plan, const WeightSource& source, const StageBatches& batches, const std::string& identity,
                  const RunOptions& options);

}  // namespace modelslim
