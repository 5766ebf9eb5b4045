// What every service comes down to: stages, each with steps and samples of its own, and one output.
//
// All stages walk the model together, block by block: within a block the stages come in order, and each has hidden
// states of its own, made of its own samples. So the second stage finds every block as the first one left it, and never
// feels what the first one's samples went through. A stage that has to end before the next one can be planned is a job
// of its own, without an output (see lower.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/recipe/processor_configs.h"
#include "processor/processor.h"

namespace modelslim {

// Samples from a calibration set.
struct StageData {
  enum class Part { kAll, kFirst, kLast };

  std::string dataset;  // name or path
  std::string where;    // "spec.dataset"
  // 0: each sample by itself, with the special tokens that the tokenizer adds. Else batches of so many: no special
  // tokens, and every sample of a batch padded on the right with token 0 to the length of its longest.
  int64_t batch_size = 0;
  Part part = Part::kAll;  // which samples are taken: all of them, the first (or the first batch), the last

  bool operator==(const StageData&) const = default;
};

struct JobStage {
  std::string name;  // for the plan's text: "anti_cfg"
  std::vector<ProcessorConfig> process;
  std::optional<StageData> data;  // none: no step may need any
};

struct JobOutput {
  std::string saver = "ascendv1_saver";  // see MakeFormat()
  int64_t part_gib = 4;                  // 0: one file
  std::string stem;                      // of the weight files; empty: the saver's own
  bool edits_config = true;              // of the copied config.json
  std::string type;                      // what the output says the model is; empty: what its layers make it
};

// A stage as it is carried out.
struct PlannedStage {
  std::string name;
  std::optional<StageData> data;
  std::vector<std::unique_ptr<Processor>> steps;
  int passes = 0;  // forwards of each block
  // For every block and step, the wider of the types that enter and leave the step's pass. Empty without data.
  std::vector<std::vector<DType>> types;

  bool needs_data() const { return passes > 0; }
};

struct Job {
  std::vector<JobStage> stages;
  std::optional<JobOutput> output;  // none: nothing is written
  PlanNotes notes;                  // found while the recipe was lowered
};

}  // namespace modelslim
