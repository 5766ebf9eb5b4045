#include "quant/numbers/affine.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"

namespace modelslim {
namespace {

constexpr float kSmallestScale = 0x1p-23f;  // exact in every model dtype (subnormal in f16)

// min and max of the framework: NaN wins.
float MinNan(float a, float b) { return std::isnan(a) || a < b ? a : b; }
float MaxNan(float a, float b) { return std::isnan(a) || a > b ? a : b; }

// Calls run(row, first column, columns, parameter index, step) for pieces of at most kAffineRun columns that share one
// parameter (step 0) or have one per column (step 1), on the compute pool. A tensor with one parameter is one long row.
template <class Run>
void ForRuns(int64_t rows, int64_t cols, const AffineTable& params, const Run& run) {
  if (rows == 0 || cols == 0) return;
  if (params.axis == ParamAxis::kTensor) {
    const int64_t count = rows * cols;
    ParallelRanges((count + kAffineRun - 1) / kAffineRun, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        run(0, i * kAffineRun, std::min(kAffineRun, count - i * kAffineRun), 0, 0);
      }
    });
    return;
  }
  const int64_t group = params.axis == ParamAxis::kGroup ? params.group_size : cols;
  const int64_t groups = (cols + group - 1) / group;
  ParallelRanges(rows, std::max<int64_t>(1, 65536 / cols), [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row = row_begin; row < row_end; ++row) {
      for (int64_t column = 0; column < cols;) {
        const int64_t end = std::min({cols, (column / group + 1) * group, column + kAffineRun});
        const bool per_column = params.axis == ParamAxis::kColumn;
        run(row, column, end - column, per_column ? column : row * groups + column / group, per_column ? 1 : 0);
        column = end;
      }
    }
  });
}

void CheckTable(const AffineTable& params, int64_t rows, int64_t cols) {
  int64_t expected = 1;
  if (params.axis == ParamAxis::kRow) expected = rows;
  if (params.axis == ParamAxis::kColumn) expected = cols;
  if (params.axis == ParamAxis::kGroup) {
    MODELSLIM_CHECK(params.group_size > 0);
    expected = rows * ((cols + params.group_size - 1) / params.group_size);
  }
  MODELSLIM_CHECK(static_cast<int64_t>(params.scale.size()) == expected);
  MODELSLIM_CHECK(params.offset.empty() || params.offset.size() == params.scale.size());
  MODELSLIM_CHECK(IsModelDType(params.dtype));
}

// The parameters of one run. Zeros for a missing offset row: the vector loops read one per element.
RunParams ParamsOfRun(const AffineTable& table, DType data_dtype, IntFormat format, int64_t index, int step) {
  static constexpr float kZeros[kAffineRun] = {};
  const float* offset = table.offset.empty() ? kZeros : table.offset.data() + index;
  return {table.scale.data() + index, offset, step, table.dtype, data_dtype, format.lowest(), format.highest()};
}

const std::byte* At(const ConstView& tensor, int64_t element) {
  return static_cast<const std::byte*>(tensor.data) + element * static_cast<int64_t>(DTypeSize(tensor.dtype));
}
std::byte* At(const View& tensor, int64_t element) {
  return static_cast<std::byte*>(tensor.data) + element * static_cast<int64_t>(DTypeSize(tensor.dtype));
}

}  // namespace

AffineParams ParamsFromRange(float min, float max, DType dtype, IntFormat format) {
  MODELSLIM_CHECK(IsModelDType(dtype) && format.bits >= 2 && format.bits <= 8);
  const float low = MinNan(min, 0.0f), high = MaxNan(max, 0.0f);
  AffineParams params{1.0f, 0.0f, dtype};
  if (format.symmetric) {
    params.scale = MaxNan(RoundTo(dtype, MaxNan(-low, high) / format.highest()), kSmallestScale);
    return params;
  }
  const float levels = static_cast<float>((1 << format.bits) - 1);
  const float width = RoundTo(dtype, RoundTo(dtype, high / levels) - RoundTo(dtype, low / levels));
  params.scale = MaxNan(width, kSmallestScale);
  params.offset = RoundTo(dtype, RoundHalfEven(RoundTo(dtype, -low / params.scale)) + format.lowest());
  return params;
}

AffineTable TableFromRanges(const std::vector<float>& min, const std::vector<float>& max, DType dtype, IntFormat format,
                            ParamAxis axis, int64_t group_size) {
  MODELSLIM_CHECK(min.size() == max.size());
  AffineTable table{axis, dtype, std::vector<float>(min.size()), {}, group_size};
  if (!format.symmetric) table.offset.resize(min.size());
  for (size_t i = 0; i < min.size(); ++i) {
    const AffineParams params = ParamsFromRange(min[i], max[i], dtype, format);
    table.scale[i] = params.scale;
    if (!format.symmetric) table.offset[i] = params.offset;
  }
  return table;
}

void Quantize(const ConstView& x, const AffineTable& params, IntFormat format, const View& q) {
  const int64_t rows = x.rows(), cols = x.cols();
  CheckTable(params, rows, cols);
  MODELSLIM_CHECK(q.dtype == DType::kI8 && q.size() == x.size());
  int8_t* out = q.as<int8_t>();
  ForRuns(rows, cols, params, [&](int64_t row, int64_t column, int64_t n, int64_t index, int step) {
    float values[kAffineRun];
    const int64_t at = row * cols + column;
    LoadRun(At(x, at), x.dtype, n, values);
    QuantizeRun(values, n, ParamsOfRun(params, x.dtype, format, index, step), out + at);
  });
}

void Dequantize(const ConstView& q, const AffineTable& params, const View& out) {
  const int64_t rows = q.rows(), cols = q.cols();
  CheckTable(params, rows, cols);
  MODELSLIM_CHECK(q.dtype == DType::kI8 && q.size() == out.size());
  const int8_t* codes = q.as<int8_t>();
  ForRuns(rows, cols, params, [&](int64_t row, int64_t column, int64_t n, int64_t index, int step) {
    float values[kAffineRun];
    const int64_t at = row * cols + column;
    DequantizeRun(codes + at, n, ParamsOfRun(params, params.dtype, IntFormat{}, index, step), values);
    StoreRun(values, out.dtype, n, At(out, at));
  });
}

void FakeQuantize(const ConstView& x, const AffineTable& params, IntFormat format, const View& out) {
  const int64_t rows = x.rows(), cols = x.cols();
  CheckTable(params, rows, cols);
  MODELSLIM_CHECK(x.size() == out.size());
  ForRuns(rows, cols, params, [&](int64_t row, int64_t column, int64_t n, int64_t index, int step) {
    float values[kAffineRun];
    const int64_t at = row * cols + column;
    LoadRun(At(x, at), x.dtype, n, values);
    FakeQuantizeRun(values, n, ParamsOfRun(params, x.dtype, format, index, step));
    StoreRun(values, out.dtype, n, At(out, at));
  });
}

}  // namespace modelslim
