// An output read back, in whichever format it is.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "format/deployed.h"
#include "format/problems.h"
#include "io/checkpoint.h"
#include "quant/facts.h"
#include "tensor/quant_mode.h"
#include "tensor/tensor.h"

namespace modelslim {

// What an output says about itself as a whole.
struct SavedSummary {
  std::string model_quant_type = "Unknown";  // the highest type
  int64_t group_size = 0;
  bool has_group_size = true;
  bool indexer_quantized = false;
};

// A quantized linear as its tensors have it.
struct SavedLinear {
  std::string name, type;  // "W8A8", as the output has it
  QuantMode mode = QuantMode::kFloat;
  int64_t out = 0, in = 0;
  int64_t group_size = 0;  // 0: one scale per row
};

// May be read from several threads.
class SavedOutput {
 public:
  virtual ~SavedOutput() = default;

  // `name` as it lies there now.
  fs::path PathOf(const std::string& name) const {
    return published_ ? directory_ / name : Unpublished(directory_ / name);
  }
  const fs::path& directory() const { return directory_; }
  const Checkpoint& weights() const { return weights_; }

  // The file that makes the output complete.
  virtual std::string_view completing_file() const = 0;
  virtual SavedSummary Summary() const = 0;
  // The type of a tensor; empty when the output has none for it.
  virtual std::string TypeOf(const std::string& tensor) const = 0;

  // Names, types, and for every quantized linear exactly the tensors that its type has, in their dtypes and shapes,
  // with finite positive scales and whole offsets. Returns these linears.
  virtual std::vector<SavedLinear> CheckLinears(Problems& problems) const = 0;
  // What the output says as a whole, against what follows from its tensors.
  virtual void CheckSummary(const std::vector<SavedLinear>& linears, Problems& problems) const = 0;

  // f32 [out, in] of the float weight. Throws Error(kInvalidModel) naming the tensor when shapes or dtypes do not fit.
  virtual Tensor Dequantize(const SavedLinear& linear) const = 0;
  // What a server makes of it. The same errors.
  virtual DeployedLinear Deploy(const SavedLinear& linear, ServerPhase phase) const = 0;
  // What stands beside a module (a Linear or an attention): scales of its cache or of its parts, rotations of its
  // input.
  virtual std::vector<Fact> FactsOf(const std::string& module) const = 0;

 protected:
  SavedOutput(fs::path directory, bool published, Checkpoint weights)
      : directory_(std::move(directory)), published_(published), weights_(std::move(weights)) {}

 private:
  fs::path directory_;
  bool published_;  // else every file lies under Unpublished() of its name
  Checkpoint weights_;
};

// Null when no format finds its output there (or part of one).
std::unique_ptr<SavedOutput> FindSaved(const fs::path& directory, bool published = true);
// Throws Error(kSecurity) when this is no directory, Error(kInvalidModel) when no format finds its output there.
std::unique_ptr<SavedOutput> OpenSaved(const fs::path& directory, bool published = true);

}  // namespace modelslim
