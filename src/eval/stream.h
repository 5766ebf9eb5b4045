// One model's hidden states on their way through its blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "data/batch.h"
#include "eval/deployed_block.h"
#include "model/family.h"
#include "runner/hidden_store.h"
#include "runner/memory_plan.h"

namespace modelslim {

// A model that is evaluated: a float one, or one that a server computes from an output.
struct EvalModel {
  const Family* family = nullptr;
  const WeightSource* source = nullptr;
  const DeployedModel* deployed = nullptr;  // null: float

  // Blocks that stand between a token and the next one: without those for multi-token prediction.
  int blocks() const;
};

class Stream {
 public:
  // Hidden states lie in `directory` under names that begin with `name`, or, where that is empty, in files without a
  // name. `blocks_done`: of an earlier run that are there already.
  Stream(const EvalModel& model, const TokenBatch& batch, uint64_t memory_limit, const fs::path& directory,
         const std::string& name, int blocks_done);

  const EvalModel& model() const { return model_; }
  Block& rest() { return *rest_; }
  // What came out of the last block (at first: of the embedding).
  const HiddenFile& states() const { return *files_[at_]; }

  void Embed();
  // Through block `index`; what came out becomes states().
  void Forward(int index);
  // Of what `input` fills in for rows [begin, end), through block `index`; `look` gets the results. states() stay.
  void ForwardOther(int index, const std::function<Tensor(int64_t begin, int64_t end)>& input,
                    const std::function<void(int64_t begin, const Tensor& output)>& look);
  // All on the disk, for a later run.
  void Sync() const { states().Sync(); }

 private:
  std::unique_ptr<Block> MakeBlock(int index) const;

  const EvalModel model_;
  const TokenBatch& batch_;
  MemoryPlan memory_;
  std::unique_ptr<Block> rest_;
  std::unique_ptr<HiddenFile> files_[2];
  int at_ = 0;
};

}  // namespace modelslim
