// Stops a forward pass where its numbers cease to be numbers. One mechanism for everything that calibrates or looks:
// whatever observes, searches or rounds activations never sees NaN or infinity.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/module.h"

namespace modelslim {

class Block;

// Of one pass of a chunk through `block`, which must outlive it. Not thread-safe; looks with the compute pool.
class FiniteWatch {
 public:
  explicit FiniteWatch(Block& block) : block_(block) {}

  // x is what `module` (a full name) reads, its "input", "keys" or the like. Throws Error(kInvalidModel) when x is not
  // finite, naming the module, where the first such value came from, the sample, the dtype and what can be done.
  void Enter(std::string_view module, std::string_view what, const ConstView& x, const RowGroups& groups);
  // y is what `module` put out. What is not finite is remembered, so that the error can name the module that reads it.
  void Leave(std::string_view module, const ConstView& y, const RowGroups& groups);
  // After the pass: throws the same when something was put out that is not finite and no module read it.
  void Finish();

 private:
  struct Finding {
    std::string module;
    std::string_view value;  // "NaN"
    int64_t sample = 0, channel = 0;
    DType dtype = DType::kF32;
  };
  static std::optional<Finding> Look(std::string_view module, const ConstView& x, const RowGroups& groups);
  [[noreturn]] void Stop(const Finding& finding, std::string_view what);

  Block& block_;
  std::optional<Finding> output_;  // the first that is not finite
};

}  // namespace modelslim
