// What one block takes while it is worked on: a list of moments, each with what is held then.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace modelslim {

// What the estimate is made for. All referred to must outlive the objects made of it.
struct MemoryInputs {
  const Family& family;
  const WeightSource& source;
  const RunPlan* plan = nullptr;  // null: the float model alone
  // Of the calibration samples of each stage (of the float model alone: one); empty: it has none.
  std::vector<std::span<const int64_t>> offsets = {};
  bool measure_errors = true;  // see RunOptions
  uint64_t peak_so_far = 0;    // the most that the process has held already, bytes

  int64_t tokens(size_t stage) const;
  int64_t tokens() const;   // of the stage that has most
  int64_t longest() const;  // sample of all
  int64_t samples() const;  // of the stage that has most
};

// What is the same for all blocks.
struct RecipeMemory {
  explicit RecipeMemory(const MemoryInputs& inputs);
  SharedInputs shared;
  std::vector<std::set<std::string, std::less<>>> rewrites;  // Linears that each step changes
  std::set<std::string, std::less<>> mixed_rows;             // Linears whose rows a rotation mixes
};

class BlockMemory {
 public:
  BlockMemory(const MemoryInputs& inputs, const RecipeMemory& recipe, const BlockInfo& block);

  // Bytes at the moment when there are most, if `rows` tokens go through the block at once.
  uint64_t Peak(int64_t rows, Keep keep) const;
  // The largest tensor that is handed to the writer in memory of its own.
  uint64_t largest_output() const { return largest_output_; }

 private:
  using ByKeep = std::array<uint64_t, 3>;  // bytes for each Keep

  struct Moment {
    ByKeep held{};
    bool forwards = false;  // with the intermediates of a forward
    DType dtype = DType::kBF16;
  };

  void AddSteps();
  void AddSave(const ByKeep& held, bool forwarded, uint64_t sampled_bytes);
  // Linears with their packed forms; `multiplying`: also what the largest of them takes during its product.
  ByKeep Weights(DType activations, bool quantizing, bool multiplying) const;
  ByKeep Multiplying(const ModuleInfo& linear, DType activations, bool quantizing) const;
  uint64_t Saving(const ModuleInfo& linear, int64_t sampled_rows) const;
  // Whether values of a Linear have to be in memory of their own.
  bool IsLoaded(const ModuleInfo& linear) const;
  bool IsQuantized(const ModuleInfo& linear) const;

  const MemoryInputs& inputs_;
  const RecipeMemory& recipe_;
  const BlockInfo& block_;
  std::set<std::string_view> changed_, noted_;  // Linears that steps have changed so far, in place or on reading
  std::vector<Moment> moments_;
  uint64_t largest_output_ = 0;
};

}  // namespace modelslim
