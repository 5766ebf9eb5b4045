// An output in ascendV1 read back, and the rules that it is held to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/saved_output.h"
#include "io/json.h"

namespace modelslim::ascend_v1 {

// Whether a description is one of modelslim_v0: it begins with what ends those of the others.
bool IsV0(const Json& description);

class AscendOutput : public SavedOutput {
 public:
  AscendOutput(fs::path directory, bool published, Checkpoint weights, Json description)
      : SavedOutput(std::move(directory), published, std::move(weights)), description_(std::move(description)) {}

  const Json& description() const { return description_; }  // an object
  bool is_v0() const { return IsV0(description_); }

  std::string_view completing_file() const override;
  SavedSummary Summary() const override;
  std::string TypeOf(const std::string& tensor) const override;
  std::vector<SavedLinear> CheckLinears(Problems& problems) const override;
  void CheckSummary(const std::vector<SavedLinear>& linears, Problems& problems) const override;
  Tensor Dequantize(const SavedLinear& linear) const override;
  DeployedLinear Deploy(const SavedLinear& linear, ServerPhase phase) const override;
  std::vector<Fact> FactsOf(const std::string& module) const override;

 private:
  std::optional<Tensor> ReadGlobalRotation() const;

  Json description_;
};

// See SavedOutput.
std::vector<SavedLinear> CheckLinears(const AscendOutput& output, Problems& problems);
void CheckSummary(const AscendOutput& output, const std::vector<SavedLinear>& linears, Problems& problems);

}  // namespace modelslim::ascend_v1
