// The tensors of linears in the files of modelslim_v0. They differ from ascendV1's in which there are, in their types
// (parameters have the model's, biases keep their own) and in packed forms.
#pragma once

#include <vector>

#include "format/format.h"

namespace modelslim::ascend_v1 {

// In write order. Throws Error(kUnsupported), naming the layer, for modes and shapes that the form cannot hold.
// `model_dtype`: config.json's.
std::vector<OutputTensor> V0LinearTensors(const PlannedLinear& linear, DType model_dtype);

// Makes exactly these tensors.
void WriteV0Linear(QuantizedLinear linear, DType model_dtype, const TensorSink& sink);

}  // namespace modelslim::ascend_v1
