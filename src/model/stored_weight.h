// Weights that do not lie in the checkpoint as a float tensor of their own name: slices of stacked experts, and codes
// with scales.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/layout.h"
#include "ops/coded_weight.h"

namespace modelslim {

class Checkpoint;
struct CheckpointTensor;

// Where the values of a parameter [rows, in] are. A matrix M [out, in] is found first: the tensor itself, or slice
// `expert` of a stack; as it lies or, `transposed`, stored as [in, out]. The parameter's row k is row first + k * step
// of M. A parameter of one axis [rows] (a bias) is taken from a vector M [out] in the same way.
struct StoredWeight {
  std::string values;  // the tensor with the numbers or codes
  int64_t expert = -1;
  bool transposed = false;  // of floats only
  int64_t first = 0, step = 1;

  // Codes; without them the values are floats.
  std::optional<WeightCode> code;
  std::string scales, zeros;  // zeros: empty where there are none
  int64_t block_rows = 1, block_cols = 1;

  bool IsPart() const { return expert >= 0 || first != 0 || step != 1 || transposed; }
  std::vector<std::string> tensors() const;  // all of those above
};

// The values, in memory of their own.
Tensor LoadStored(const Checkpoint& checkpoint, const ParamInfo& param);
// Rows [begin, end) of a matrix.
Tensor LoadStoredRows(const Checkpoint& checkpoint, const ParamInfo& param, int64_t begin, int64_t end);
// Where they lie, if they are that type's floats one after the other.
std::optional<SharedTensor> MapStored(const Checkpoint& checkpoint, const ParamInfo& param);
bool IsStoredInPlace(const Checkpoint& checkpoint, const ParamInfo& param);
// Hints for the parts of the tensors that the parameter is made of.
void WillNeedStored(const Checkpoint& checkpoint, const ParamInfo& param);
void DontNeedStored(const Checkpoint& checkpoint, const ParamInfo& param);

}  // namespace modelslim
