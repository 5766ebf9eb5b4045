// The quantization modes of ascendV1, one row each: which tensors a linear of the mode becomes, how they are made, and
// how its weight is read back. A new mode is a row in modes.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "format/format.h"

namespace modelslim::ascend_v1 {

// How codes of fewer than 8 bits share a byte.
enum class Packing : uint8_t { kNone, kRowPairs, kColumnPairs, kAny /* shapes tell which */ };
// Which tensor tells the size of a group.
enum class Grouping : uint8_t {
  kNone,      // the parameters are those of whole rows
  kScales,    // columns of weight_scale
  kMx,        // always blocks of 32
  kDualScale  // columns of weight_dual_scale, over blocks of 32
};

// The tensors of one linear in a file; null data where there is none.
struct SavedTensors {
  ConstView weight, weight_scale, weight_offset, weight_dual_scale, deq_scale, input_scale;
};

// What a server does to the input of a linear; the weights' own form follows from the tensors.
struct InputRule {
  enum class Kind : uint8_t { kFloat, kStatic, kPerToken, kPrefillPerToken, kMx, kDualMx } kind = Kind::kFloat;
  ElementFormat format = ElementFormat::kInt8;
};

class LinearPlanner;
class LinearWriter;

struct ModeRow {
  QuantMode mode;
  Packing packing;
  Grouping grouping;
  InputRule input;
  void (*check)(const PlannedLinear&);  // throws for sizes that the mode cannot have
  void (*plan)(LinearPlanner&);
  void (*write)(LinearWriter&);         // null: a float linear is written as it is
  Tensor (*read)(const SavedTensors&);  // null likewise
};

// The row of a mode. Every mode has one.
const ModeRow& RowOf(QuantMode mode);
// The row of a quantized type by the name that a description has for it; null for floats and what is no type.
const ModeRow* QuantizedRowOf(std::string_view type);

// What the description calls a type.
std::string_view TypeName(QuantMode mode, const Compat& options);

// deq_scale is I64 (the f32 bits, sign-extended) unless the model computes in bf16.
bool DeqScaleAsI64(DType model_dtype, const Compat& options);

// See Format.
std::vector<OutputTensor> PlanLinear(const PlannedLinear& linear, DType model_dtype, const Compat& options);
void WriteLinear(QuantizedLinear linear, DType model_dtype, const Compat& options, const TensorSink& sink);
// f32 [out, in]. Throws Error(kInvalidModel) naming the tensor when shapes or dtypes do not fit.
Tensor ReadWeight(const SavedTensors& saved, QuantMode mode);

}  // namespace modelslim::ascend_v1
