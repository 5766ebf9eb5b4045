// What a step of the recipe holds in memory while it works on a block: told before any weight is read, so that the
// runner can keep within a limit. All in bytes of tensors.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

// Beside the block's weights, their packed forms, and the intermediates of forwards.
struct StepMemory {
  uint64_t codes = 0;       // of weights that it quantizes: made by the first forward since, and kept
  uint64_t watching = 0;    // statistics, while its forward runs and until the step is done with the block
  uint64_t finishing = 0;   // the most beside all the rest while it finishes the block
  uint64_t kept = 0;        // from then on
  bool runs_again = false;  // finishing sends the tokens through parts of the block once more

  // Of steps that share a forward.
  void Add(const StepMemory& other);
};

// Which Linears of a block read the same values, as far as the family's norms tell: those behind one norm, within one
// expert.
class SharedInputs {
 public:
  SharedInputs() = default;
  explicit SharedInputs(const Family& family);
  // The same text for Linears that read the same; the Linear's own name where nothing is known.
  std::string Of(std::string_view linear) const;

 private:
  std::map<std::string, std::string, std::less<>> norm_of_;
};

// What a step is asked about.
struct MemoryQuestion {
  const Family& family;
  const ModelPlan& plan;
  const SharedInputs& inputs;
  const BlockInfo& block;
  DType dtype = DType::kBF16;  // the widest among the activations
  int64_t tokens = 0;          // of all samples
  bool measure_errors = true;  // see RunState

  // Tokens that enter a Linear: of an expert its even share.
  int64_t TokensInto(std::string_view linear) const;
};

uint64_t WeightBytes(const ModuleInfo& linear);

}  // namespace modelslim
