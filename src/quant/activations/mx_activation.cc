// MX fake quantization of activations.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"

namespace modelslim {
namespace {

void FakeBlock(float* values, int64_t n, DType dtype, const MxRule& rule, const MxExponentTable& table) {
  uint8_t codes[kMxBlock];
  const int exponent = QuantizeMxBlock(values, n, dtype, rule, &table, codes);
  MxDecode(codes, n, exponent, rule.fp4, values);
  RoundRun(values, n, dtype);
}

// Groups of `size` columns are divided by their largest / 6 (by nothing when they are all zero), in f32.
void FakeDualRow(float* values, int64_t cols, const MxRule& rule, int64_t size, const MxExponentTable& table) {
  for (int64_t first = 0; first < cols; first += size) {
    const int64_t last = std::min(cols, first + size);
    float largest = 0.0f;
    for (int64_t i = first; i < last; ++i) {
      const float magnitude = std::fabs(values[i]);
      largest = std::isnan(largest) || magnitude < largest ? largest : magnitude;
    }
    const float scale = largest == 0.0f ? 1.0f : largest / 6.0f;
    for (int64_t i = first; i < last; ++i) values[i] /= scale;
    for (int64_t i = first; i < last; i += kMxBlock) {
      FakeBlock(values + i, std::min(kMxBlock, last - i), DType::kF32, rule, table);
    }
    for (int64_t i = first; i < last; ++i) values[i] *= scale;
  }
}

void LoadRow(const ConstView& x, int64_t row, float* values) {
  const int64_t bytes = x.cols() * static_cast<int64_t>(DTypeSize(x.dtype));
  LoadRun(static_cast<const std::byte*>(x.data) + row * bytes, x.dtype, x.cols(), values);
}

void StoreRow(const float* values, int64_t row, int64_t cols, const View& out) {
  const int64_t bytes = cols * static_cast<int64_t>(DTypeSize(out.dtype));
  StoreRun(values, out.dtype, cols, static_cast<std::byte*>(out.data) + row * bytes);
}

}  // namespace

void FakeQuantizeMx(const ConstView& x, const MxRule& rule, int64_t dual_block_size, const View& out) {
  const int64_t rows = x.rows(), cols = x.cols(), blocks = MxBlocks(cols);
  MODELSLIM_CHECK(IsModelDType(x.dtype) && x.size() == out.size() && rule.method == WeightMethod::kMinMax);
  const bool dual = dual_block_size > 0;
  const MxExponentTable& table = MxMinMaxTable(dual ? DType::kF32 : x.dtype, rule.fp4, rule.december_2025);
  ParallelRanges(rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    std::vector<float> values(cols);
    std::vector<uint8_t> codes(cols), exponents(blocks);
    for (int64_t row = begin; row < end; ++row) {
      if (dual) {
        LoadRow(x, row, values.data());
        FakeDualRow(values.data(), cols, rule, dual_block_size, table);
      } else if (!rule.fp4) {
        QuantizeRowsMx(x.Rows(row, row + 1), rule, table, codes.data(), exponents.data());
        for (int64_t block = 0; block < blocks; ++block) {
          const int64_t first = block * kMxBlock, n = std::min(kMxBlock, cols - first);
          MxDecode(codes.data() + first, n, MxReadExponent(exponents[block]), false, values.data() + first);
        }
        RoundRun(values.data(), cols, x.dtype);
      } else {
        LoadRow(x, row, values.data());
        for (int64_t i = 0; i < cols; i += kMxBlock) {
          FakeBlock(values.data() + i, std::min(kMxBlock, cols - i), x.dtype, rule, table);
        }
      }
      StoreRow(values.data(), row, cols, out);
    }
  });
}

}  // namespace modelslim
