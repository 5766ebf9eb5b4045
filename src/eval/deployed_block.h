// A block's modules put into the states in which a server computes a saved output.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "format/saved_output.h"
#include "model/block.h"
#include "model/family.h"

namespace modelslim {

// An output and the model that its config.json describes, with parameters in f32. Read by name.
class DeployedModel : public WeightSource {
 public:
  // Throws Error(kInvalidModel) when the output is not what its format asks for.
  DeployedModel(const SavedOutput& output, ServerPhase phase);

  const SavedOutput& output() const { return output_; }
  // As they were read, in the order of their names.
  std::vector<SavedLinear> linears() const;
  // The type of a Linear; FLOAT for those that are none of the quantized ones.
  std::string TypeOf(const std::string& linear) const;

  // Linears get their deployed forwards, biases that a step has added, rotations of their inputs; norms their added
  // biases; attentions their rotations and what FA3 quantizes. This must outlive the block.
  void Dress(Block& block) const;

  // Of a quantized Linear: its weight as floats.
  std::optional<SharedTensor> Map(const ParamInfo& param) const override;
  bool IsInPlace(const ParamInfo& param) const override;
  Tensor Load(const ParamInfo& param) const override;
  void WillNeed(const ParamInfo& param) const override;
  void DontNeed(const ParamInfo& param) const override;

 private:
  const SavedLinear* Find(const ParamInfo& param) const;
  Tensor Bias(const std::string& module) const;  // null where the output has none

  const SavedOutput& output_;
  const ServerPhase phase_;
  std::unique_ptr<WeightSource> floats_;
  std::map<std::string, SavedLinear, std::less<>> linears_;
};

// The caches of a block whose keys and values the output stores as integers. A family shows its own buffers, just
// before it reads them: what the cache gives back takes their place.
class DeployedCache : public KvObserver {
 public:
  DeployedCache(const SavedOutput& output, const Block& block);
  bool empty() const { return scales_.empty(); }
  void Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
               const RowGroups& groups) override;

 private:
  std::map<std::string, KvScales, std::less<>> scales_;
};

}  // namespace modelslim
