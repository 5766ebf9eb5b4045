// MX weights: the parts of QuantizeWeight and Dequantize for mxfp8 and mxfp4.
#pragma once

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

QuantizedWeight QuantizeMxWeight(const ConstView& w, const WeightSpec& spec);
void DequantizeMxWeight(const QuantizedWeight& weight, const View& out);

}  // namespace modelslim
