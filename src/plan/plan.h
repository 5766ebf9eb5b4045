// The plan of a run: everything that will happen, known before any weight is read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/recipe/recipe.h"
#include "format/format.h"
#include "format/layout.h"
#include "io/checkpoint.h"
#include "model/family.h"
#include "model/unused_tensors.h"
#include "plan/float_share.h"
#include "plan/job.h"
#include "servers/server.h"

namespace modelslim {

// A file of the model directory that the output gets as well.
struct CopiedFile {
  std::string name;
  std::string content;  // empty: copied as it is; else the edited text (config.json)
  bool edited = false;
  std::string hash;  // XXH3-128 of the file as it was when the plan was made
};

struct BlockCost {
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  double multiply_adds_per_token = 0;
};

// Needs the family, checkpoint and recipe that it was made from to stay alive.
struct RunPlan {
  const Family* family = nullptr;
  const Checkpoint* checkpoint = nullptr;
  std::vector<PlannedStage> stages;
  ModelPlan model;
  bool writes = true;  // false: the job has no output
  std::unique_ptr<Format> format;
  OutputLayout layout;
  SavedSummary summary;  // what the output will say of itself
  std::vector<CopiedFile> copied;
  std::vector<BlockCost> blocks;  // one per block, then one for what is outside of them
  FloatShare floats;
  std::vector<UnusedTensors> unused;  // what of the checkpoint no output will hold, and why

  bool needs_data() const;
  int passes() const;  // forwards of each block, of all stages
  // The Linear outside of the blocks that is quantized; null: none is.
  const ModuleInfo* quantized_head() const;
};

struct PlanOptions {
  StepOptions steps;
  ServerChoice servers = EveryServer();  // whose loaders the notes are about
  std::vector<std::string> drop;         // patterns of tensors that may be lost; see CheckLosses()
};

// Throws Error when the job cannot be run on this model; warnings and remarks are in plan.model.notes. `recipe` is what
// the job was lowered from, for places.
RunPlan MakePlan(const Job& job, const Recipe& recipe, const Family& family, const Checkpoint& checkpoint,
                 const fs::path& model_path, const PlanOptions& options = {});

// What identifies the result of a run: a hash over the program's version, everything that decides about the numbers and
// the files (texts of recipe, config.json, tokenizer and all other files that are copied, calibration set, weights by
// Checkpoint::Fingerprint) and the layout. Threads and memory are not part of it.
std::string PlanIdentity(const RunPlan& plan, const std::string& recipe_text, const std::string& calibration_hash);

}  // namespace modelslim
