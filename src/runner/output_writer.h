// Writes planned tensors into their places from a thread of its own, so that computing never waits for the disk, and
// records finished units in the journal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "format/layout.h"
#include "runner/hidden_store.h"
#include "runner/journal.h"
#include "tensor/tensor.h"

namespace modelslim {

class OutputWriter {
 public:
  // Creates the shards (names + ".partial", full size) in `directory`, or goes on with those that an earlier run left.
  // Both the layout and the journal must outlive the writer. `resume`: the shards must be there. At most `queue_bytes`
  // wait for the disk, or one tensor, however large.
  OutputWriter(const OutputLayout& layout, fs::path directory, Journal& journal, bool resume,
               uint64_t queue_bytes = uint64_t{64} << 20);
  ~OutputWriter();
  OutputWriter(const OutputWriter&) = delete;
  OutputWriter& operator=(const OutputWriter&) = delete;

  // Queues a tensor. Throws Error(kUnexpected) when name, dtype or shape are not as planned, or it was put before.
  // Blocks while too much is waiting. An error of the writing thread is thrown by the next call.
  void Put(const std::string& name, SharedTensor value);
  // The same for a matrix that comes in pieces of whole rows, in order and without other tensors in between: `begin` is
  // the number of the first row of `rows`.
  void PutRows(const std::string& name, int64_t begin, Tensor rows);

  // All tensors of the unit have been put. Once they are on disk (and the `hidden` states, which must not change until
  // then), the journal gets its line.
  void FinishUnit(int unit, std::vector<const HiddenFile*> hidden, std::string facts);
  // Waits until everything queued is written and recorded; `record` forces journal lines that are held back to save
  // syncs.
  void Drain();
  // Waits until the line of `unit` is in the journal.
  void WaitForUnit(int unit);

  // Everything is written and synced: every planned tensor, now or by the earlier run, else an Error that names it.
  void Complete();
  // After that, gives the shards their names.
  void Publish();

  // Checksums of all tensors, those of the earlier run included. After Drain().
  const std::map<std::string, std::string>& hashes() const;
  uint64_t bytes_written() const;
  double seconds() const;  // that the thread spent writing

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// XXH3-128 over a mapped hidden file's used part.
std::string HashOf(const HiddenFile& hidden);

}  // namespace modelslim
