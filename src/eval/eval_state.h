// What an interrupted evaluation goes on from.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "eval/layer_errors.h"

namespace modelslim {

// A small file beside the hidden states: how many blocks are done, and what was found in them. Without a directory
// nothing is kept.
class EvalState {
 public:
  // Reads what is there, if it is of the same evaluation.
  EvalState(fs::path directory, std::string identity);

  bool resumed() const { return resumed_; }
  int blocks() const { return blocks_; }
  const std::vector<LayerError>& layers() const { return layers_; }

  // Atomically; the hidden states must be on the disk.
  void Save(int blocks, const std::vector<LayerError>& layers) const;
  // The evaluation is complete: neither this file nor the hidden states are wanted any longer.
  void Remove() const;

 private:
  fs::path directory_;
  std::string identity_;
  bool resumed_ = false;
  int blocks_ = 0;
  std::vector<LayerError> layers_;
};

}  // namespace modelslim
