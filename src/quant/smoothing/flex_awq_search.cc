#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/numbers/affine.h"
#include "quant/smoothing/search_operands.h"
#include "quant/smoothing/smooth_operands.h"
#include "quant/smoothing/smooth_search.h"

namespace modelslim {

namespace {

using smooth_search::GridValue;
using smooth_search::kGrid;
using smooth_search::MakeOperands;
using smooth_search::Operands;
using smooth_search::RowsAbsMax;

// Mean of (y - g)^2 in f32, g promoted.
double MeanSquaredError(const Tensor& y, const Tensor& g) {
  const Tensor wide = ConvertTo(g.view(), DType::kF32);
  const int64_t rows = wide.view().rows(), cols = wide.view().cols();
  std::vector<double> parts(rows);
  ParallelFor(rows, [&](int64_t r) {
    parts[r] = smooth_operands::SquaredError(y.as<float>() + r * cols, wide.as<float>() + r * cols, DType::kF32, cols);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum / static_cast<double>(wide.size());
}

float ReferenceNorm(const Tensor& g) {
  const ConstView view = g.view();
  double sum = 0;
  const size_t row_bytes = static_cast<size_t>(view.cols()) * DTypeSize(view.dtype);
  for (int64_t r = 0; r < view.rows(); ++r) {
    sum += smooth_operands::SquaredSum(static_cast<const std::byte*>(view.data) + static_cast<size_t>(r) * row_bytes,
                                       view.dtype, view.cols());
  }
  const float mean = RoundTo(view.dtype, static_cast<float>(sum / static_cast<double>(view.size())));
  return RoundTo(view.dtype, std::sqrt(mean));
}

// x / scale or x * scale, rounded to x's type.
Tensor Scaled(const Tensor& x, const std::vector<float>& scale, bool divide) {
  Tensor scaled(x.dtype(), x.shape());
  const int64_t cols = x.view().cols();
  WithModelDType(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.as<T>();
    T* const to = scaled.as<T>();
    ParallelRanges(x.view().rows(), 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * cols; i < end * cols; ++i) {
        const float v = ToF32(from[i]), s = scale[i % cols];
        to[i] = From<T>(divide ? v / s : v * s);
      }
    });
  });
  return scaled;
}

}  // namespace

uint64_t FlexAwqBytes(int64_t tokens, int64_t channels, int64_t out, DType dtype) {
  const auto size = static_cast<uint64_t>(DTypeSize(dtype)), act = static_cast<uint64_t>(tokens * channels),
             weight = static_cast<uint64_t>(out * channels), y = static_cast<uint64_t>(tokens * out);
  const uint64_t operands = size * (act + weight + y);
  const uint64_t quantize_weight = weight * (size + sizeof(float) + 1);
  const uint64_t products = weight * (size + sizeof(float)) + act * (size + sizeof(float)) + y * 2 * sizeof(float) +
                            LinearScratch(0, out, channels, DType::kF32, DType::kF32, DType::kF32);
  return operands + std::max(quantize_weight, products);
}

AlphaSearchResult FlexAwqSearch(const ConstView& act, const ConstView& weight, const TrialQuantizer& quantizer) {
  const Operands operands = MakeOperands(act, {&weight, 1}, false);
  const Channels a = RowsAbsMax(operands.act);
  Tensor reference(weight.dtype, {operands.act.view().rows(), weight.rows()});
  Linear(operands.act.view(), operands.weight.view(), {}, reference.view());
  const float norm = ReferenceNorm(reference);
  AlphaSearchResult result;
  result.error = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kGrid; ++i) {
    const Channels scale = Power(a, GridValue(i));
    const Tensor scaled_weight = Scaled(operands.weight, scale.values, false);
    const Tensor w = quantizer.weight(scaled_weight.view());
    Tensor x = Scaled(operands.act, scale.values, true);
    x = quantizer.activation ? quantizer.activation(x.view()) : ConvertTo(x.view(), DType::kF32);
    Tensor y(DType::kF32, reference.shape());
    Linear(x.view(), w.view(), quantizer.bias, y.view());
    const float error = std::sqrt(static_cast<float>(MeanSquaredError(y, reference))) / norm;
    result.errors.push_back(error);
    if (!(error <= result.error)) continue;
    result.error = error;
    result.alpha = GridValue(i);
  }
  return result;
}

Tensor FakeQuantInt8PerChannelRange(const ConstView& x) {
  const ConstView flat{x.data, x.dtype, {x.rows(), x.cols()}};
  const Channels absmax = ColumnMax({&flat, 1});
  std::vector<float> low = absmax.values;
  for (float& v : low) v = -v;
  const IntFormat format{.bits = 8, .symmetric = true};
  Tensor out(DType::kF32, x.shape);
  FakeQuantize(flat, TableFromRanges(low, absmax.values, x.dtype, format, ParamAxis::kColumn), format, out.view());
  return out;
}

}  // namespace modelslim
