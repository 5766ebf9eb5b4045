// The sparse modes of modelslim_v0 (W8A8S): a grid of four bits for the bulk of a row, on which outliers lie beyond the
// seventh step and keep their codes in eight bits.
#pragma once

#include <vector>

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

// The scales, one per row of w [out, in], rounded to its dtype: the largest magnitude of the row that is no outlier,
// over 7. What an outlier is, by spec.method:
//   kOutliersOfMatrix   what is larger than the k-th largest magnitude of the matrix, k = trunc(fraction * elements)
//   kOutliersOfRow      the same within the row, k = trunc(fraction * columns)
//   kOutliersBySigma    what is larger than three standard deviations of the row's magnitudes (unbiased)
// k is at least 1, so that the largest one itself is never an outlier there. Derived from the golden cases of 26.1.0,
// which agree in every code. Runs on the compute pool, exact at any number of threads. NaN: see HasBadScale().
std::vector<float> OutlierScales(const ConstView& w, const WeightSpec& spec);

}  // namespace modelslim
