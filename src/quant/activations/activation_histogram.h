// The histogram quantizer over packed samples.
#pragma once

#include <span>
#include <vector>

#include "quant/activations/activation_fake.h"
#include "quant/activations/histogram.h"

namespace modelslim {

// Folds the samples of x into `histogram` in order and returns what each is quantized with; for an empty sample nothing
// that matters. Throws Error(kInvalidDataset) for a sample without a finite element.
std::vector<SampleParams> HistogramParams(const ConstView& x, std::span<const int64_t> offsets, bool symmetric,
                                          Histogram* histogram);

}  // namespace modelslim
