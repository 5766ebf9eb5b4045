// A step of the recipe. For every block, in the order of the recipe: Preprocess, then (if it needs data) one forward of
// all calibration samples, then Postprocess; all steps finish a block before any begins the next. A step sees the block
// as the steps before it left it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/recipe/recipe.h"
#include "model/block.h"
#include "model/family.h"
#include "processor/input_ranges.h"
#include "processor/model_plan.h"
#include "processor/step_memory.h"

namespace modelslim {

// What steps have found out about modules (see ModelPlan::facts), by module.
using Facts = std::map<std::string, std::vector<Fact>, std::less<>>;

// What becomes of experts that no calibration token chose, where a step needs to know their input.
enum class IdleExperts : uint8_t {
  kReject,     // an error that lists them
  kPool,       // they get what the other experts of their layer have seen together
  kAllTokens,  // every token of the layer is sent through them after each forward (its output is dropped)
};
std::string_view IdleExpertsName(IdleExperts idle);  // "pool" as on the command line

// What a step may use while it runs.
struct RunState {
  const Family& family;
  const ModelPlan& plan;
  Block& rest;                // modules outside of the blocks
  Keep keep = Keep::kPacked;  // what memory allows between chunks
  fs::path scratch;           // directory for what does not fit into memory
  IdleExperts idle_experts = IdleExperts::kReject;
  bool measure_errors = true;  // keep samples of what enters a Linear
  // Experts ("model.layers.3.mlp.experts.7") of the present block that were handled as idle_experts says.
  std::set<std::string, std::less<>> handled_experts = {};
  InputRanges* ranges = nullptr;  // gets what a step finds out about inputs; null: nobody asks
  Facts facts = {};               // taken by the saver when the block (or the rest) is written
};

class Processor {
 public:
  explicit Processor(const ProcessorConfig& config) : path_(config.path), type_(config.type) {}
  virtual ~Processor() = default;

  const std::string& path() const { return path_; }  // "spec.process[0]"
  const std::string& type() const { return type_; }  // "linear_quant"

  virtual bool NeedsData() const = 0;
  // Whether it observes keys and values.
  virtual KvObserver* kv_observer() { return nullptr; }

  // Says what it will do. Throws Error(kUnsupported) for what it cannot do with this family. RefuseQuantized() comes
  // first.
  virtual void Plan(const Family& family, ModelPlan& plan) const = 0;

  // How the types of activations come about, for the plan (see plan/activation_types.h). The modules of `block`, which
  // has no weights, are brought into the states in which this step's pass finds them, and in which the step leaves
  // them, as far as the types of what they put out depend on it.
  virtual void SketchPass(Block& /*block*/, const Family&, const ModelPlan&) const {}
  virtual void SketchResult(Block& /*block*/, const Family&, const ModelPlan&) const {}
  // Which keys and values this step's pass will see in an attention.
  virtual void PlanKvTypes(const std::string& /*attention*/, DType /*keys*/, DType /*values*/, ModelPlan&) const {}

  // Linears whose weights it changes, so that they must not be quantized yet.
  virtual std::vector<std::string> Rewrites(const Family&) const { return {}; }

  // Whether those changes are only noted, and made whenever a weight is read.
  virtual bool NotesRewrites() const { return false; }
  // What it will hold in memory while it works on a block. After Plan().
  virtual StepMemory Memory(const MemoryQuestion&) const { return {}; }

  virtual void PreRun(RunState&) {}
  virtual void Preprocess(Block& block, RunState& state) = 0;
  virtual void Postprocess(Block& block, RunState& state) = 0;
  // Whether the block has to be forwarded once more after Postprocess, that second output going to the next block.
  virtual bool ForwardsAgain() const { return false; }
  // Changes modules outside of the blocks; after the last block, before they are written.
  virtual void PostRun(RunState&) {}

 private:
  std::string path_, type_;
};

// The steps of a recipe in order. Throws Error(kUnsupported) naming the entry for a type that this version cannot run.
std::vector<std::unique_ptr<Processor>> MakeProcessors(const std::vector<ProcessorConfig>& configs,
                                                       const Family& family);

// Throws Error(kSpec) when `processor` would change the weight of a Linear that `plan` quantizes already.
void RefuseQuantized(const Processor& processor, const Family& family, const ModelPlan& plan);

// Types that MakeProcessors knows, for listings.
bool IsProcessorImplemented(std::string_view type);

}  // namespace modelslim
