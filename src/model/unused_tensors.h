// Tensors of a checkpoint that no module of its model loads, so that no output would hold them: which, how many bytes,
// and why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/layout.h"

namespace modelslim {

class Checkpoint;
struct CheckpointTensor;

// Tensors of one reason whose names differ in numbers only. The checkpoint must outlive it.
struct UnusedTensors {
  std::string_view reason;  // "vision or audio tower"
  std::string_view advice;  // what else could be done than to lose them; may be empty
  // The original leaves these out as well, by design: it is enough to tell. All others change what the output can do or
  // computes, or nobody knows what they do: they need the user's word.
  bool told_only = false;
  std::string pattern;  // "model.layers.*.self_attn.q_proj.bias"
  std::vector<const CheckpointTensor*> tensors;

  uint64_t bytes() const;
};

// Sorts `names` (of CheckAgainstCheckpoint) by reason and pattern, largest first.
std::vector<UnusedTensors> GroupUnused(const ModelLayout& layout, const Checkpoint& checkpoint,
                                       const std::vector<std::string>& names);

// "model.layers.*.mlp.up_proj.bias (28 tensors, 1.0 MiB, the first is model.layers.0.mlp.up_proj.bias)", or of one
// tensor its name and size.
std::string Describe(const UnusedTensors& group);

}  // namespace modelslim
