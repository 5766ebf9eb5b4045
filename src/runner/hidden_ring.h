// The hidden files of a stage. They take turns: one is read, one is written, and one is what the journal would go back
// to.
#pragma once

#include <array>
#include <memory>

#include "runner/hidden_store.h"
#include "runner/journal.h"

namespace modelslim {

class HiddenRing {
 public:
  // Files for `rows` x `width` elements in the directory `work`; nothing is created yet.
  HiddenRing(fs::path work, size_t stage, int64_t rows, int64_t width);

  // Creates the files.
  void Create() { Open(/*keep=*/false); }
  // Opens those of an earlier run; `saved` becomes current(). False when it is not there as the journal says.
  bool Find(const SavedHidden& saved);

  HiddenFile& current() { return *files_[current_]; }  // that the next block reads
  HiddenFile& next() { return *files_[Next()]; }       // that it writes
  void Turn() { current_ = Next(); }

 private:
  static constexpr size_t kFiles = 3;

  void Open(bool keep);
  size_t Next() const { return (current_ + 1) % kFiles; }

  fs::path work_;
  size_t stage_;
  int64_t rows_, width_;
  std::array<std::unique_ptr<HiddenFile>, kFiles> files_;
  size_t current_ = 0;
};

}  // namespace modelslim
