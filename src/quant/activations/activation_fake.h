// Fake quantization of packed samples, each with parameters of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/activations/activation.h"
#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

// What one sample is quantized with: a single scale and offset, then optionally bounds for the result.
struct SampleParams {
  AffineParams affine;
  bool clamp = false;
  float low = 0.0f, high = 0.0f;
};

// Parameters for a range of data of type dtype: integers, or e4m3.
AffineParams ParamsForRange(const Range& range, DType dtype, ElementFormat format, bool symmetric);

// x, out: [tokens, cols]; out of any float type, may be x itself. Rows outside the samples are left alone.
void FakeQuantizeSamples(const ConstView& x, std::span<const int64_t> offsets, std::span<const SampleParams> params,
                         ElementFormat format, const View& out);
// The same with parameters per column of each sample.
void FakeQuantizeSampleColumns(const ConstView& x, std::span<const int64_t> offsets,
                               std::span<const AffineTable> tables, ElementFormat format, const View& out);

int BitsOfActivation(ElementFormat format);

}  // namespace modelslim
