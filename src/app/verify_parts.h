// The parts of VerifyOutput: an output looked at from several sides.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "io/json.h"
#include "quant/weights/pack.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// What is wrong, in words. Thread-safe.
class Problems {
 public:
  void Add(std::string text) {
    const std::lock_guard lock(mutex_);
    found_.push_back(std::move(text));
  }
  bool empty() const { return found_.empty(); }
  std::vector<std::string> Take() { return std::move(found_); }

 private:
  std::mutex mutex_;
  std::vector<std::string> found_;
};

// An output that has been opened.
struct VerifiedOutput {
  fs::path directory;
  bool published;    // else every file lies under Unpublished() of its name
  Json description;  // an object
  Checkpoint weights;
  std::optional<Json> ledger;  // an object, where there is one

  fs::path PathOf(const std::string& name) const {
    return published ? directory / name : Unpublished(directory / name);
  }
};

// A quantized linear as its tensors have it.
struct SavedLayer {
  std::string name, type;
  QuantMode mode = QuantMode::kFloat;
  SavedKind kind = SavedKind::kInt;
  int64_t out = 0, in = 0;
  int64_t group_size = 0;  // 0: one scale per row
};

// Description and weight files against one another: names, types, and for every quantized linear exactly the tensors
// that its type has, in their dtypes and shapes, with finite positive scales and whole offsets. Returns these linears.
std::vector<SavedLayer> VerifyLayers(const VerifiedOutput& output, Problems& problems);

// What the description says beside the tensors, against what follows from them.
void VerifyGlobals(const VerifiedOutput& output, const std::vector<SavedLayer>& layers, Problems& problems);

// Every module that config.json describes is there, in its shape. For outputs of our own: others may hold models of
// other families.
void VerifyModel(const VerifiedOutput& output, const std::vector<SavedLayer>& layers, Problems& problems);

// The small files: present, readable by a server, and as the ledger has them.
void VerifyFiles(const VerifiedOutput& output, Problems& problems);

// What every tensor holds: its bytes against the ledger, where there is one, none missing and none too many; and that
// it is finite, else a warning.
void VerifyContents(const VerifiedOutput& output, Problems& problems, Problems& warnings);

}  // namespace modelslim
