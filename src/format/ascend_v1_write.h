// The tensors of quantized linears in the ascendV1 layout.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "format/ascend_v1.h"
#include "quant/numbers/affine.h"
#include "quant/weights/weight_quantizer.h"

namespace modelslim {

// A quantized linear, ready to be written. `bias` (float, may have null data) must outlive the call.
struct QuantizedLinear {
  std::string name;
  QuantMode mode = QuantMode::kFloat;
  QuantizedWeight weight;
  std::optional<AffineParams> input;  // static modes
  ConstView bias;
};

// Takes a finished tensor of the output, by its full name.
using TensorSink = std::function<void(const std::string& name, Tensor value)>;

// Makes exactly the tensors that AscendTensors plans for it.
void WriteAscendLinear(QuantizedLinear linear, DType model_dtype, const Compat& compat, const TensorSink& sink);

}  // namespace modelslim
