#include "quant/weights/mx_weight.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"

namespace modelslim {
namespace {

int64_t RowGrain(int64_t cols) { return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cols)); }

MxRule RuleOf(const WeightSpec& spec) {
  MxRule rule{spec.format == ElementFormat::kMxFp4, spec.method, spec.ceil_x, spec.december_2025};
  if (spec.method == WeightMethod::kDualScale) rule.method = WeightMethod::kMinMax;
  return rule;
}

const std::byte* RowData(const ConstView& x, int64_t row) {
  return static_cast<const std::byte*>(x.data) + row * x.cols() * static_cast<int64_t>(DTypeSize(x.dtype));
}

// One row of f32 values (of type dtype) block by block.
void QuantizeRow(const float* values, int64_t cols, DType dtype, const MxRule& rule, const MxExponentTable* table,
                 uint8_t* codes, uint8_t* stored) {
  for (int64_t begin = 0; begin < cols; begin += kMxBlock) {
    const int64_t n = std::min(kMxBlock, cols - begin);
    *stored++ = MxStoredExponent(QuantizeMxBlock(values + begin, n, dtype, rule, table, codes + begin));
  }
}

void DecodeRow(const uint8_t* codes, const uint8_t* stored, int64_t cols, bool fp4, float* values) {
  for (int64_t begin = 0; begin < cols; begin += kMxBlock) {
    MxDecode(codes + begin, std::min(kMxBlock, cols - begin), MxReadExponent(*stored++), fp4, values + begin);
  }
}

QuantizedWeight QuantizeRows(const ConstView& w, const MxRule& rule) {
  const int64_t rows = w.rows(), cols = w.cols(), blocks = MxBlocks(cols);
  QuantizedWeight result;
  result.codes = Tensor(rule.fp4 ? DType::kU8 : DType::kF8E4M3, w.shape);
  result.scale = Tensor(DType::kU8, {rows, blocks});
  uint8_t *codes = result.codes.as<uint8_t>(), *stored = result.scale.as<uint8_t>();
  std::unique_ptr<MxExponentTable> own;
  const MxExponentTable* table = nullptr;
  if (rule.method == WeightMethod::kMinMax) table = &MxMinMaxTable(w.dtype, rule.fp4, rule.december_2025);
  if (rule.method == WeightMethod::kCeilX) table = (own = std::make_unique<MxExponentTable>(w.dtype, rule)).get();
  const bool fast = table != nullptr && (!rule.fp4 || cols % 2 == 0);
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    if (fast && !rule.fp4) {
      return QuantizeRowsMx(w.Rows(begin, end), rule, *table, codes + begin * cols, stored + begin * blocks);
    }
    std::vector<float> values(cols);
    std::vector<uint8_t> packed(fast ? cols / 2 : 0);
    for (int64_t row = begin; row < end; ++row) {
      uint8_t* out = codes + row * cols;
      if (fast) {
        QuantizeRowsMx(w.Rows(row, row + 1), rule, *table, packed.data(), stored + row * blocks);
        for (int64_t i = 0; i < cols / 2; ++i) {
          out[2 * i] = packed[i] & 15u;
          out[2 * i + 1] = static_cast<uint8_t>(packed[i] >> 4);
        }
        continue;
      }
      LoadRun(RowData(w, row), w.dtype, cols, values.data());
      QuantizeRow(values.data(), cols, w.dtype, rule, table, out, stored + row * blocks);
    }
  });
  return result;
}

// Mean of the squared errors of the whole matrix, every step in the dtype of the weight. Row sums in f64, added up in
// order; the zeros that fill the last block of a row count too.
float MeanSquaredError(const ConstView& w, const QuantizedWeight& quantized) {
  const int64_t rows = w.rows(), cols = w.cols(), blocks = MxBlocks(cols);
  const uint8_t *codes = quantized.codes.as<uint8_t>(), *stored = quantized.scale.as<uint8_t>();
  std::vector<double> sums(rows, 0.0);
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    std::vector<float> values(cols), back(cols);
    for (int64_t row = begin; row < end; ++row) {
      LoadRun(RowData(w, row), w.dtype, cols, values.data());
      DecodeRow(codes + row * cols, stored + row * blocks, cols, true, back.data());
      for (int64_t i = 0; i < cols; ++i) {
        const float error = RoundTo(w.dtype, values[i] - RoundTo(w.dtype, back[i]));
        sums[row] += static_cast<double>(RoundTo(w.dtype, error * error));
      }
    }
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return RoundTo(w.dtype, static_cast<float>(total / static_cast<double>(rows * blocks * kMxBlock)));
}

QuantizedWeight SearchCeilX(const ConstView& w, MxRule rule, const CeilXSearch& search) {
  QuantizedWeight best;
  float best_error = std::numeric_limits<float>::infinity();
  for (const float candidate : search.Candidates()) {
    rule.ceil_x = candidate;
    QuantizedWeight tried = QuantizeRows(w, rule);
    const float error = MeanSquaredError(w, tried);
    if (best.codes && !(error < best_error)) continue;
    best = std::move(tried);
    best_error = error;
  }
  return best;
}

// The outer scale of columns [begin, begin + size) of a row: their largest magnitude / 6; 1 when they are all zero,
// which the reference divides by zero.
float OuterScale(const float* values, int64_t size) {
  float largest = 0.0f;
  for (int64_t i = 0; i < size; ++i) {
    const float magnitude = std::fabs(values[i]);
    largest = std::isnan(largest) || magnitude < largest ? largest : magnitude;
  }
  return largest == 0.0f ? 1.0f : largest / 6.0f;
}

QuantizedWeight QuantizeDual(const ConstView& w, const WeightSpec& spec) {
  const int64_t rows = w.rows(), cols = w.cols(), blocks = MxBlocks(cols), size = spec.dual_block_size;
  const int64_t outer = cols / size;
  QuantizedWeight result;
  result.codes = Tensor(DType::kU8, w.shape);
  result.scale = Tensor(DType::kU8, {rows, blocks});
  result.dual_scale = Tensor(DType::kF32, {rows, outer});
  uint8_t *codes = result.codes.as<uint8_t>(), *stored = result.scale.as<uint8_t>();
  float* dual = result.dual_scale.as<float>();
  const MxRule rule = RuleOf(spec);
  const MxExponentTable& table = MxMinMaxTable(DType::kF32, true, rule.december_2025);
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    std::vector<float> values(cols);
    for (int64_t row = begin; row < end; ++row) {
      LoadRun(RowData(w, row), w.dtype, cols, values.data());
      for (int64_t i = 0; i < outer; ++i) {
        const float scale = dual[row * outer + i] = OuterScale(values.data() + i * size, size);
        for (int64_t k = i * size; k < (i + 1) * size; ++k) values[k] /= scale;
      }
      QuantizeRow(values.data(), cols, DType::kF32, rule, &table, codes + row * cols, stored + row * blocks);
    }
  });
  return result;
}

}  // namespace

std::vector<float> CeilXSearch::Candidates() const {
  std::vector<float> candidates;
  const auto steps = static_cast<int64_t>(std::nearbyint((max - min) / step));
  for (int64_t i = 0; i <= steps; ++i) candidates.push_back(static_cast<float>(min + static_cast<double>(i) * step));
  return candidates;
}

QuantizedWeight QuantizeMxWeight(const ConstView& w, const WeightSpec& spec) {
  const MxRule rule = RuleOf(spec);
  const bool searches = spec.method == WeightMethod::kCeilX && spec.ceil_x_search.has_value();
  QuantizedWeight result = spec.scope == WeightScope::kDualScale ? QuantizeDual(w, spec)
                           : searches                            ? SearchCeilX(w, rule, *spec.ceil_x_search)
                                                                 : QuantizeRows(w, rule);
  result.group_size = kMxBlock;
  return result;
}

void DequantizeMxWeight(const QuantizedWeight& weight, const View& out) {
  const int64_t rows = out.rows(), cols = out.cols(), blocks = MxBlocks(cols);
  const bool fp4 = weight.format == ElementFormat::kMxFp4;
  const uint8_t *codes = weight.codes.as<uint8_t>(), *stored = weight.scale.as<uint8_t>();
  const float* dual = weight.dual_scale ? weight.dual_scale.as<float>() : nullptr;
  const int64_t outer = dual == nullptr ? 0 : weight.dual_scale.view().cols(),
                dual_size = dual == nullptr ? 0 : cols / outer;
  // With an outer scale the inner arithmetic is f32.
  const DType inner = dual == nullptr ? weight.source_dtype : DType::kF32;
  const int64_t size = static_cast<int64_t>(DTypeSize(out.dtype));
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    std::vector<float> values(cols);
    for (int64_t row = begin; row < end; ++row) {
      DecodeRow(codes + row * cols, stored + row * blocks, cols, fp4, values.data());
      RoundRun(values.data(), cols, inner);
      for (int64_t i = 0; dual != nullptr && i < cols; ++i) values[i] *= dual[row * outer + i / dual_size];
      StoreRun(values.data(), out.dtype, cols, static_cast<std::byte*>(out.data) + row * cols * size);
    }
  });
}

}  // namespace modelslim
