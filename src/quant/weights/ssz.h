// SSZ: per row, alternate between quantizing with a scale and the least-squares scale of the integers found, keep the
// scale with the smallest mean squared error. Symmetric int8 or int4.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

// The scales, one per row of w [out, in], rounded to its dtype. The search stops for all rows together, in the first
// step in which no row improves. Runs on the compute pool.
std::vector<float> SszScales(const ConstView& w, int bits, const WeightSpec& spec);

}  // namespace modelslim
