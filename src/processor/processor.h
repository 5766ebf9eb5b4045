// A step of the recipe. For every block, in the order of the recipe: Preprocess, then (if it needs data) one forward of
// all calibration samples, then Postprocess; all steps finish a block before any begins the next. A step sees the block
// as the steps before it left it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/recipe.h"
#include "model/block.h"
#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

// Values of the tensors that a step adds beside a module's own (see ModelPlan::extras), by module.
struct ExtraValue {
  std::string name;  // as planned
  Tensor value;
};
using ExtraValues = std::map<std::string, std::vector<ExtraValue>, std::less<>>;

// What a step may use while it runs.
struct RunState {
  const Family& family;
  const ModelPlan& plan;
  Block& rest;              // modules outside of the blocks
  bool keep_packed = true;  // memory allows keeping prepared weights and codes between chunks
  fs::path scratch;         // directory for what does not fit into memory
  fs::path output;          // directory that is written
  ExtraValues extras;       // taken by the saver when the block (or the rest) is written
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

  // Says what it will do. Throws Error(kUnsupported) for what it cannot do with this family.
  virtual void Plan(const Family& family, ModelPlan& plan) const = 0;

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

// Types that MakeProcessors knows, for listings.
bool IsProcessorImplemented(std::string_view type);

}  // namespace modelslim
