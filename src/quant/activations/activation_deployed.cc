#include "quant/activations/activation.h"
#include "quant/activations/activation_fake.h"
#include "quant/numbers/mx.h"
#include "quant/numbers/range_scan.h"
#include "quant/weights/fp8_rows.h"

namespace modelslim {
namespace {

void FakeRows(const ConstView& x, ElementFormat format, int bits, const View& out) {
  const int64_t rows = x.rows();
  std::vector<int64_t> offsets(rows + 1);
  for (int64_t row = 0; row <= rows; ++row) offsets[row] = row;
  const std::vector<Range> ranges = SampleRanges(x, offsets);
  AffineTable table{ParamAxis::kRow, x.dtype, std::vector<float>(rows), {}, 0};
  for (int64_t row = 0; row < rows; ++row) {
    table.scale[row] = format == ElementFormat::kFp8E4M3
                           ? ParamsForRange(ranges[row], x.dtype, format, true).scale
                           : ParamsFromRange(ranges[row].min, ranges[row].max, x.dtype, IntFormat{bits, true}).scale;
  }
  if (format == ElementFormat::kFp8E4M3) return FakeQuantizeFp8(x, table, out);
  FakeQuantize(x, table, IntFormat{bits, true}, out);
}

// The axis slip: over the tokens of a call instead of over its channels.
void FakeColumns(const ConstView& x, std::span<const int64_t> offsets, ElementFormat format, int bits,
                 const View& out) {
  const std::vector<ColumnRanges> ranges = SampleColumnRanges(x, offsets);
  std::vector<AffineTable> tables(ranges.size());
  const ElementFormat width = format == ElementFormat::kFp8E4M3 ? format
                              : bits == 4                       ? ElementFormat::kInt4
                                                                : ElementFormat::kInt8;
  for (size_t i = 0; i < ranges.size(); ++i) {
    tables[i] = {ParamAxis::kColumn, x.dtype, std::vector<float>(x.cols()), {}, 0};
    if (offsets[i] == offsets[i + 1]) continue;
    for (int64_t c = 0; c < x.cols(); ++c) {
      tables[i].scale[c] = ParamsForRange(Range{ranges[i].min[c], ranges[i].max[c]}, x.dtype, width, true).scale;
    }
  }
  FakeQuantizeSampleColumns(x, offsets, tables, width, out);
}

}  // namespace

void FakeQuantizeDeployed(const DeployedActivation& activation, const ConstView& x, std::span<const int64_t> offsets,
                          const View& out) {
  CheckOffsets(x, offsets);
  MODELSLIM_CHECK(x.size() == out.size() && IsModelDType(out.dtype));
  const ActivationSpec& spec = activation.spec;
  const int bits = spec.format == ElementFormat::kInt4 ? 4 : activation.bits;
  if (spec.scope == ActivationScope::kPerBlock || spec.scope == ActivationScope::kDualScale) {
    const MxRule rule{spec.format == ElementFormat::kMxFp4, WeightMethod::kMinMax, 0.0f, activation.december_2025};
    return FakeQuantizeMx(x, rule, spec.scope == ActivationScope::kDualScale ? spec.dual_block_size : 0, out);
  }
  if (spec.scope == ActivationScope::kPerTensor) {
    if (spec.format == ElementFormat::kFp8E4M3) return FakeQuantizeFp8(x, activation.fixed, out);
    return FakeQuantize(x, activation.fixed, IntFormat{bits, spec.symmetric}, out);
  }
  if (activation.true_per_token) return FakeRows(x, spec.format, bits, out);
  FakeColumns(x, offsets, spec.format, bits, out);
}

}  // namespace modelslim
