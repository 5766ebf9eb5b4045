// What every command that works on a model opens first (and on a recipe): paths checked, configuration read, headers
// validated.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/recipe/recipe.h"
#include "data/batch.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "model/family.h"
#include "plan/lower.h"
#include "plan/plan.h"
#include "runner/run.h"

namespace modelslim {

// The arguments that tell which model, and on what it is worked on.
struct ModelArguments {
  std::string model_type;  // empty: the family by config.json
  fs::path model_path;
  std::string device = "cpu";  // accepted as the reference has it; everything runs on the CPU
  std::string trust_remote_code = "False";
  int threads = 0;                      // 0: all
  std::string memory;                   // "12GiB"; empty: 80 % of what there is
  std::vector<std::string> text_keys;   // where samples keep their text; empty: as the reference reads them
  bool no_forward = false;              // the model is known by the names of its tensors only
  std::vector<std::string> keep_float;  // patterns of Linears that no step quantizes
  std::string stacked_experts;          // "out-in" or "in-out": how experts lie in one tensor; empty: as it shows
};

// The arguments that `quant` and `plan` share.
// What `quant` measures of its output (see app/eval.h).
struct EvaluationWish {
  bool wanted = false;
  std::string data = "heldout.jsonl";
  int64_t windows = 24, window = 512;
};

struct JobArguments : ModelArguments {
  fs::path save_path;      // empty for plan
  fs::path config_path;    // a recipe file; or
  std::string quant_type;  // "w8a8": the best practice for it
  std::vector<std::string> tags;
  bool fresh = false;
  bool verify = true;
  bool december_2025 = false;      // file forms of the December 2025 release
  std::vector<std::string> mends;  // of AllMends()
  std::vector<std::string> drop;   // patterns of source tensors that the output may lack
  std::string idle_experts = "reject";
  std::vector<std::string> servers;           // warnings are about these; empty: all that there are rules for
  std::string server_version;                 // of the one server named; empty: every version
  std::string fp8_type = "WFP8AFP8_DYNAMIC";  // what the description calls fp8 layers
  bool assume_yes = false;                    // answers the question of the practice look-up
  EvaluationWish evaluation;
};

// A model, opened. Members are in the order in which they depend on one another.
struct OpenedModel {
  const FamilyEntry* entry = nullptr;
  Json config;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Family> family;
  std::unique_ptr<WeightSource> weights;
};

// A model and a recipe, opened and planned.
struct Session : OpenedModel {
  JobArguments arguments;
  std::string recipe_text;
  std::string recipe_name;
  Recipe recipe;
  RunPlan plan;
};

// "in-out" of --stacked-experts: true; nothing for an empty text.
std::optional<bool> Transposed(const std::string& stacked);

// Checks the arguments and opens the model; sets the number of compute threads. No weight is read.
OpenedModel OpenModel(const ModelArguments& arguments);

// Checks the arguments, chooses the recipe and makes the plan. Nothing is written and no weight is read.
std::unique_ptr<Session> OpenSession(JobArguments arguments);

// Plans the session's recipe. `ranges`: what its deciding job has found; null where there is none, or before it has
// run.
RunPlan PlanSession(const Session& session, const InputRanges* ranges);
// The same of another job that the recipe comes down to.
RunPlan PlanJob(const Session& session, const Job& job);

// "reject", "pool" or "all-tokens". Throws Error(kSchema) for anything else.
IdleExperts ParseIdleExperts(const std::string& text);

// "12GiB", "800 MiB", "2e10", plain bytes. Throws Error(kSchema) for anything else.
uint64_t ParseMemory(const std::string& text);

}  // namespace modelslim
