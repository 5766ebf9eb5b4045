// The record of a run in progress, so that an interrupted one goes on where it was and ends in the same bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

// Hidden states handed to the next block, as a finished unit left them.
struct SavedHidden {
  std::string file;   // name inside the work directory
  std::string dtype;  // "BF16"
  std::string hash;   // XXH3-128 of the bytes
};

// One finished unit: all its tensors are in their places and synced.
struct JournalUnit {
  int unit = 0;
  std::map<std::string, std::string> hashes;  // output tensor -> XXH3-128 of its bytes
  std::vector<SavedHidden> hidden;            // of every stage with samples, in order
  std::string facts;                          // what the summary and the ledger want to keep, as JSON text
};

// An append-only file of JSON lines. The first line identifies the run (what is quantized, how, into which layout);
// each further line is a finished unit and is synced before Append returns. A torn last line is dropped.
class Journal {
 public:
  // Opens `path`. If it belongs to the run `identity`, its units can be read; otherwise it is started anew.
  Journal(fs::path path, const std::string& identity, bool fresh);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Units of the earlier run, in the order of completion; empty for a new one.
  const std::vector<JournalUnit>& finished() const { return finished_; }
  // Whether a journal of another run was found and given up, for a message.
  bool replaced_other() const { return replaced_other_; }

  void Append(const JournalUnit& unit);

 private:
  bool Replay(const std::string& identity);
  void Start(const std::string& identity);
  void WriteLine(const std::string& line);

  fs::path path_;
  int fd_ = -1;
  std::vector<JournalUnit> finished_;
  bool replaced_other_ = false;
};

}  // namespace modelslim
