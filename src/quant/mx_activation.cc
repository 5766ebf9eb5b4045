// MX fake quantization of activations.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "quant/affine_kernels.h"
#include "quant/mx.h"

namespace modelslim {
namespace {

void FakeBlock(float* values, int64_t n, DType dtype, const MxRule& rule, const MxExponentTable& table) {
  uint8_t codes[kMxBlock];
  const int exponent = QuantizeMxBlock(values, n, dtype, rule, &table, codes);
  const float power = exponent == kMxNan ? std::numeric_limits<float>::quiet_NaN() : PowerOfTwo(exponent);
  for (int64_t i = 0; i < n; ++i) values[i] = RoundTo(dtype, MxCodeValue(codes[i], rule.fp4) * power);
}

}  // namespace

void FakeQuantizeMx(const ConstView& x, const MxRule& rule, int64_t dual_block_size, const View& out) {
  const int64_t rows = x.rows(), cols = x.cols();
  MODELSLIM_CHECK(IsModelDType(x.dtype) && x.size() == out.size() && rule.method == WeightMethod::kMinMax);
  const int64_t in_size = static_cast<int64_t>(DTypeSize(x.dtype)),
                out_size = static_cast<int64_t>(DTypeSize(out.dtype));
  const bool dual = dual_block_size > 0;
  const DType inner = dual ? DType::kF32 : x.dtype;
  const MxExponentTable& table = MxMinMaxTable(inner, rule.fp4, rule.december_2025);
  ParallelRanges(rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    std::vector<float> values(cols);
    for (int64_t row = begin; row < end; ++row) {
      LoadRun(static_cast<const std::byte*>(x.data) + row * cols * in_size, x.dtype, cols, values.data());
      const int64_t outer = dual ? dual_block_size : cols;
      for (int64_t first = 0; first < cols; first += outer) {
        const int64_t last = std::min(cols, first + outer);
        float scale = 1.0f;
        if (dual) {
          float largest = 0.0f;
          for (int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(values[i]));
          if (largest > 0.0f) scale = largest / 6.0f;
          for (int64_t i = first; i < last; ++i) values[i] /= scale;
        }
        for (int64_t i = first; i < last; i += kMxBlock) {
          FakeBlock(values.data() + i, std::min(kMxBlock, last - i), inner, rule, table);
        }
        for (int64_t i = first; dual && i < last; ++i) values[i] *= scale;
      }
      StoreRun(values.data(), out.dtype, cols, static_cast<std::byte*>(out.data) + row * cols * out_size);
    }
  });
}

}  // namespace modelslim
