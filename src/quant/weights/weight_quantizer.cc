#include "quant/weights/weight_quantizer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"
#include "quant/numbers/row_magnitude.h"
#include "quant/weights/fp8_rows.h"
#include "quant/weights/mx_weight.h"
#include "quant/weights/outlier_rows.h"
#include "quant/weights/row_kernels.h"
#include "quant/weights/ssz.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

bool IsMx(ElementFormat format) { return format == ElementFormat::kMxFp8 || format == ElementFormat::kMxFp4; }
bool HasOutliers(WeightMethod method) {
  return method == WeightMethod::kOutliersOfMatrix || method == WeightMethod::kOutliersOfRow ||
         method == WeightMethod::kOutliersBySigma;
}
bool IsInt(ElementFormat format) { return format == ElementFormat::kInt8 || format == ElementFormat::kInt4; }
int BitsOf(ElementFormat format) { return format == ElementFormat::kInt4 ? 4 : 8; }

int64_t RowGrain(int64_t cols) { return std::max<int64_t>(1, 131072 / std::max<int64_t>(1, cols)); }

// f32 values that are exact in `dtype`, stored as it.
Tensor ScaleTensor(const std::vector<float>& scales, DType dtype) {
  Tensor made(dtype, {static_cast<int64_t>(scales.size())});
  StoreRun(scales.data(), dtype, made.size(), made.view().data);
  return made;
}

// Minmax in its general form.
QuantizedWeight QuantizeGroups(const ConstView& w, const WeightSpec& spec) {
  const int64_t rows = w.rows(), cols = w.cols(), width = spec.group_size > 0 ? spec.group_size : cols;
  const IntFormat format{BitsOf(spec.format), spec.symmetric};
  std::vector<float> low(static_cast<size_t>(w.size() / width)), high(low.size());
  const int64_t groups = cols / width, bytes = width * static_cast<int64_t>(DTypeSize(w.dtype));
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * groups; i < end * groups; ++i) {
      const Range range = RangeOf({static_cast<const std::byte*>(w.data) + i * bytes, w.dtype, {1, width}});
      low[static_cast<size_t>(i)] = range.min;
      high[static_cast<size_t>(i)] = range.max;
    }
  });
  const ParamAxis axis = spec.group_size > 0 ? ParamAxis::kGroup : ParamAxis::kRow;
  const AffineTable table = TableFromRanges(low, high, w.dtype, format, axis, spec.group_size);
  QuantizedWeight result;
  result.codes = Tensor(DType::kI8, w.shape);
  Quantize(w, table, format, result.codes.view());
  result.scale = ScaleTensor(table.scale, w.dtype);
  if (!spec.symmetric) result.offset = ScaleTensor(table.offset, w.dtype);
  result.group_size = spec.group_size;
  if (spec.group_size == 0) return result;
  result.scale.Reshape({rows, groups});
  if (result.offset) result.offset.Reshape({rows, groups});
  return result;
}

QuantizedWeight QuantizeInt(const ConstView& w, const WeightSpec& spec) {
  if (!spec.symmetric || spec.group_size > 0) return QuantizeGroups(w, spec);
  const int64_t rows = w.rows(), cols = w.cols();
  const int bits = BitsOf(spec.format);
  QuantizedWeight result;
  result.codes = Tensor(DType::kI8, w.shape);
  int8_t* q = result.codes.as<int8_t>();
  if (spec.method == WeightMethod::kSsz || HasOutliers(spec.method)) {
    const bool ssz = spec.method == WeightMethod::kSsz;
    AffineTable table{ParamAxis::kRow, w.dtype, ssz ? SszScales(w, bits, spec) : OutlierScales(w, spec), {}, 0};
    Quantize(w, table, IntFormat{bits, true}, result.codes.view());
    result.scale = ScaleTensor(table.scale, w.dtype);
    return result;
  }
  std::vector<float> scales(rows);
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    QuantizeRowsMinMax(w.Rows(begin, end), bits, q + begin * cols, scales.data() + begin);
  });
  result.scale = ScaleTensor(scales, w.dtype);
  return result;
}

QuantizedWeight QuantizeFp8(const ConstView& w, const WeightSpec& spec) {
  const int64_t rows = w.rows(), cols = w.cols(), size = static_cast<int64_t>(DTypeSize(w.dtype));
  QuantizedWeight result;
  result.codes = Tensor(DType::kF8E4M3, w.shape);
  if (spec.keep_fp8_values) result.values = Tensor(w.dtype, w.shape);
  uint8_t* codes = result.codes.as<uint8_t>();
  std::byte* kept = static_cast<std::byte*>(result.values.view().data);
  std::vector<float> scales(rows);
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    QuantizeRowsFp8(w.Rows(begin, end), codes + begin * cols, scales.data() + begin);
    if (!spec.keep_fp8_values) return;
    float values[kAffineRun];
    for (int64_t at = begin * cols; at < end * cols;) {
      const int64_t n = std::min({kAffineRun, end * cols - at, (at / cols + 1) * cols - at});
      LoadRun(static_cast<const std::byte*>(w.data) + at * size, w.dtype, n, values);
      Fp8ValuesRun(values, n, scales[at / cols], w.dtype, w.dtype, values);
      StoreRun(values, w.dtype, n, kept + at * size);
      at += n;
    }
  });
  result.scale = ScaleTensor(scales, w.dtype);
  return result;
}

[[noreturn]] void Refuse(const std::string& what, const std::string& tip) {
  throw Error(ErrorCode::kUnsupported, "weight quantizer: " + what, tip);
}

void CheckMethod(const WeightSpec& spec) {
  const bool fp4 = spec.format == ElementFormat::kMxFp4, fp8 = spec.format == ElementFormat::kMxFp8;
  switch (spec.method) {
    case WeightMethod::kMinMax:
      return;
    case WeightMethod::kSsz:
      if (!IsInt(spec.format)) Refuse("method ssz works on int8 and int4 only", "use method minmax for this dtype");
      return;
    case WeightMethod::kMseRound:
      if (!fp8) Refuse("method mse_round works on mxfp8 only", "use dtype mxfp8 or method minmax");
      return;
    case WeightMethod::kCeilX:
    case WeightMethod::kFourOverSix:
      if (!fp4) Refuse("methods ceil_x and fouroversix work on mxfp4 only", "use dtype mxfp4 or method minmax");
      return;
    case WeightMethod::kOutliersOfMatrix:
    case WeightMethod::kOutliersOfRow:
    case WeightMethod::kOutliersBySigma:
      if (spec.format != ElementFormat::kInt8) Refuse("outliers keep their codes in int8 only", "use dtype int8");
      return;
    case WeightMethod::kDualScale:
      if (spec.scope != WeightScope::kDualScale)
        Refuse("method dualscale needs scope dual_scale", "set scope: dual_scale");
      return;
  }
}

}  // namespace

void CheckWeightSpec(const WeightSpec& spec, int64_t in) {
  CheckMethod(spec);
  const bool mx = IsMx(spec.format), dual = spec.scope == WeightScope::kDualScale;
  if (mx && spec.scope == WeightScope::kPerChannel) Refuse("MX formats have scope per_block", "set scope: per_block");
  if (!mx && spec.scope != WeightScope::kPerChannel)
    Refuse("integers and fp8 have scope per_channel", "set scope: per_channel");
  const bool general = !spec.symmetric || spec.group_size > 0;
  if (general && (!IsInt(spec.format) || spec.method != WeightMethod::kMinMax)) {
    Refuse("offsets and groups of columns go with integers by minmax only", "use symmetric per_channel weights");
  }
  if (in > 0 && spec.group_size > 0 && in % spec.group_size != 0) {
    Refuse("the group size " + std::to_string(spec.group_size) + " does not divide " + std::to_string(in) +
               " input columns",
           "choose a group size that divides them");
  }
  if (dual && (spec.format != ElementFormat::kMxFp4 || spec.method != WeightMethod::kDualScale)) {
    Refuse("scope dual_scale needs dtype mxfp4 and method dualscale", "set both, or use scope: per_block");
  }
  const auto bad = [](const std::string& what) { throw Error(ErrorCode::kSchema, "weight quantizer: " + what); };
  if (spec.ssz_steps < 1) bad("ssz needs a positive number of steps, found " + std::to_string(spec.ssz_steps));
  if (spec.method == WeightMethod::kCeilX && !(spec.ceil_x >= 6.0f && spec.ceil_x <= 12.0f)) {
    bad("ceil_x must lie in 6..12, found " + std::to_string(spec.ceil_x));
  }
  if (dual) {
    const int64_t size = spec.dual_block_size;
    if (size <= 0 || size % kMxBlock != 0) {
      bad("dual_block_size must be a positive multiple of 32, found " + std::to_string(size));
    }
    if (in > 0 && in % size != 0) {
      Refuse("dual_block_size " + std::to_string(size) + " does not divide " + std::to_string(in) + " input columns",
             "choose a dual_block_size that divides them");
    }
  }
  if (spec.method == WeightMethod::kFourOverSix && in % kMxBlock != 0) {
    Refuse("fouroversix needs a multiple of 32 input columns, found " + std::to_string(in), "use method minmax");
  }
}

uint64_t QuantizedBytes(int64_t elements, DType dtype, const WeightSpec& spec) {
  const auto count = static_cast<uint64_t>(elements);
  const uint64_t values = spec.keep_fp8_values && spec.format == ElementFormat::kFp8E4M3 ? count * DTypeSize(dtype) : 0;
  const uint64_t scales = IsMx(spec.format) ? count / kMxBlock : 0;
  const uint64_t outer = spec.dual_block_size > 0 ? count / static_cast<uint64_t>(spec.dual_block_size) * 4 : 0;
  return count + values + scales + outer;
}

uint64_t QuantizingBytes(int64_t elements, DType dtype, const WeightSpec& spec) {
  // The searches keep the best so far beside the present one.
  const bool searches = spec.ceil_x_search || spec.method == WeightMethod::kFourOverSix;
  return QuantizedBytes(elements, dtype, spec) * (searches ? 2 : 1);
}

QuantizedWeight QuantizeWeight(const ConstView& w, const WeightSpec& spec) {
  if (w.shape.size() != 2 || !IsModelDType(w.dtype)) {
    throw Error(ErrorCode::kInvalidModel, "weight to quantize: expected a float matrix, found " +
                                              std::string(DTypeName(w.dtype)) + " " + ShapeText(w.shape));
  }
  CheckWeightSpec(spec, w.cols());
  QuantizedWeight result;
  if (IsInt(spec.format)) {
    result = QuantizeInt(w, spec);
  } else if (IsMx(spec.format)) {
    result = QuantizeMxWeight(w, spec);
  } else {
    result = QuantizeFp8(w, spec);
  }
  result.format = spec.format;
  result.source_dtype = w.dtype;
  return result;
}

namespace {

AffineTable TableOf(const QuantizedWeight& weight) {
  const int64_t count = weight.scale.size();
  AffineTable table{weight.group_size > 0 ? ParamAxis::kGroup : ParamAxis::kRow, weight.scale.dtype(), {}, {}, 0};
  table.group_size = weight.group_size;
  table.scale.resize(count);
  LoadRun(weight.scale.view().data, weight.scale.dtype(), count, table.scale.data());
  if (weight.offset) {
    table.offset.resize(count);
    LoadRun(weight.offset.view().data, weight.offset.dtype(), count, table.offset.data());
  }
  return table;
}

void DequantizeFp8(const QuantizedWeight& weight, const View& out) {
  const AffineTable table = TableOf(weight);
  const int64_t rows = out.rows(), cols = out.cols(), size = static_cast<int64_t>(DTypeSize(out.dtype));
  const uint8_t* codes = weight.codes.as<uint8_t>();
  const int64_t value_size = static_cast<int64_t>(DTypeSize(weight.source_dtype));
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    float values[kAffineRun];
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t column = 0; column < cols; column += kAffineRun) {
        const int64_t n = std::min(kAffineRun, cols - column), at = row * cols + column;
        if (weight.values) {
          const std::byte* kept = static_cast<const std::byte*>(weight.values.view().data);
          LoadRun(kept + at * value_size, weight.source_dtype, n, values);
        } else {
          for (int64_t i = 0; i < n; ++i) values[i] = E4M3ToF32(codes[at + i]);
        }
        Fp8BackRun(values, n, table.scale[row], table.dtype, values);
        StoreRun(values, out.dtype, n, static_cast<std::byte*>(out.data) + at * size);
      }
    }
  });
}

}  // namespace

void Dequantize(const QuantizedWeight& weight, const View& out) {
  MODELSLIM_CHECK(out.shape == weight.codes.shape());
  if (IsMx(weight.format)) return DequantizeMxWeight(weight, out);
  if (weight.format == ElementFormat::kFp8E4M3) return DequantizeFp8(weight, out);
  Dequantize(weight.codes.view(), TableOf(weight), out);
}

Tensor Dequantize(const QuantizedWeight& weight, DType out) {
  Tensor made(out, weight.codes.shape());
  Dequantize(weight, made.view());
  return made;
}

int64_t HasBadScale(const QuantizedWeight& weight) {
  const int64_t count = weight.scale.size(), rows = weight.codes.view().rows();
  const int64_t per_row = rows == 0 ? 1 : std::max<int64_t>(1, count / rows);
  for (int64_t i = 0; i < count; ++i) {
    if (weight.scale.dtype() == DType::kU8) {
      if (weight.scale.as<uint8_t>()[i] == 255) return i / per_row;
    } else if (const float scale = ElementAsF32(weight.scale.view(), i); !std::isfinite(scale) || scale == 0.0f) {
      return i / per_row;
    }
  }
  return -1;
}

}  // namespace modelslim
