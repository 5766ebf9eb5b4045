// What enters a Linear, kept in a scratch file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "model/module.h"
#include "processor/observing/token_store.h"

namespace modelslim {

// Keeps everything that enters a Linear, and how it was cut into chunks.
class InputTape : public InputObserver {
 public:
  explicit InputTape(fs::path scratch) : scratch_(std::move(scratch)) {}
  void Observe(const ConstView& x, const RowGroups& groups) override;

  struct Chunk {
    int64_t begin = 0;             // first row on the tape
    std::vector<int64_t> offsets;  // of its samples, from `begin`
    int64_t first_sample = 0;
  };
  const std::vector<Chunk>& chunks() const { return chunks_; }
  int64_t rows() const { return rows_ ? rows_->rows() : 0; }
  // [begin, end) of all rows; valid until the next Observe.
  ConstView Rows(int64_t begin, int64_t end) { return rows_->Rows().Rows(begin, end); }
  void Clear();

 private:
  fs::path scratch_;
  std::unique_ptr<TokenStore> rows_;  // made with the type of the first rows
  std::vector<Chunk> chunks_;
};

// For a statistic of f32 [channels, channels], which is larger than the inputs themselves until many were seen (a
// routed expert sees few): they wait on a tape, one chunk a sample, and `fold` takes them into the statistic when they
// are as large as it, or when somebody asks. So there is one such matrix at a time, not one for each expert, and it
// does not depend on how the samples were cut into chunks.
class WaitingInputs {
 public:
  using Fold = std::function<void(InputTape&)>;
  WaitingInputs(fs::path scratch, int64_t channels, Fold fold)
      : tape_(std::move(scratch)), channels_(channels), fold_(std::move(fold)) {}

  void Add(const ConstView& x, const RowGroups& groups);
  int64_t rows() const { return rows_; }  // ever seen
  // Folds what waits.
  void Finish();
  // What waits, for another statistic.
  InputTape& tape() { return tape_; }

 private:
  InputTape tape_;
  int64_t channels_;
  Fold fold_;
  int64_t rows_ = 0;
};

}  // namespace modelslim
