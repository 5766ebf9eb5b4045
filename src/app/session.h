// What every command that works on a model and a recipe opens first: paths checked, configuration read, headers validated.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "config/recipe.h"
#include "data/batch.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "model/family.h"
#include "plan/plan.h"

namespace modelslim {

// The arguments that `quant` and `plan` share.
struct JobArguments {
  std::string model_type;     // empty: the family by config.json
  fs::path model_path;
  fs::path save_path;         // empty for plan
  fs::path config_path;       // a recipe file; or
  std::string quant_type;     // "w8a8": the best practice for it
  std::vector<std::string> tags;
  std::string device = "cpu"; // accepted as the reference has it; everything runs on the CPU
  std::string trust_remote_code = "False";
  int threads = 0;            // 0: all
  std::string memory;         // "12GiB"; empty: 80 % of what there is
  bool fresh = false;
  bool verify = true;
  bool december_2025 = false; // file forms of the December 2025 release
  bool assume_yes = false;    // answers the question of the practice look-up
};

// A model and a recipe, opened and planned. Members are in the order in which they depend on one another.
struct Session {
  JobArguments arguments;
  const FamilyEntry* entry = nullptr;
  Json config;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Family> family;
  std::unique_ptr<WeightSource> weights;
  std::string recipe_text;
  std::string recipe_name;
  Recipe recipe;
  RunPlan plan;
};

// Checks the arguments, chooses the recipe and makes the plan. Nothing is written and no weight is read.
std::unique_ptr<Session> OpenSession(JobArguments arguments);

// Reads and tokenizes the calibration set of the recipe. `hash` (if not null) gets a checksum of what came out.
TokenBatch LoadCalibration(const Session& session, std::string* hash);

// "12GiB", "800 MiB", "2e10", plain bytes. Throws Error(kSchema) for anything else.
uint64_t ParseMemory(const std::string& text);

}  // namespace modelslim
