#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "kernels/multiversion.h"
#include "ops/f32_rows.h"

namespace modelslim {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Once NaN, always NaN: no comparison with it is true.
struct Smaller {
  float operator()(float kept, float value) const { return value < kept || value != value ? value : kept; }
};
struct Larger {
  float operator()(float kept, float value) const { return value > kept || value != value ? value : kept; }
};
struct LargerMagnitude {
  float operator()(float kept, float value) const { return Larger()(kept, std::fabs(value)); }
};

// kept[i] = op(kept[i], x[i]).
template <class Op>
MODELSLIM_MULTIVERSION void Fold(const float* __restrict x, int64_t count, float* __restrict kept) {
  for (int64_t i = 0; i < count; ++i) kept[i] = Op()(kept[i], x[i]);
}

// low[i] = min(low[i], x[i]), negated[i] = min(negated[i], -x[i]).
MODELSLIM_MULTIVERSION void FoldBoth(const float* __restrict x, int64_t count, float* __restrict low,
                                     float* __restrict negated) {
  for (int64_t i = 0; i < count; ++i) {
    low[i] = Smaller()(low[i], x[i]);
    negated[i] = Smaller()(negated[i], -x[i]);
  }
}

MODELSLIM_MULTIVERSION void AddMagnitudes(const float* __restrict x, int64_t count, double* __restrict sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += static_cast<double>(std::fabs(x[i]));
}

// A statistic per column: blocks of rows are reduced by themselves, then put together in order. The blocks depend on
// the number of rows alone. step(row as f32, first column, columns, values of the block).
template <class Value, class Step, class Merge>
std::vector<Value> OverRows(const ConstView& x, int64_t width, Value start, const Step& step, const Merge& merge) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && x.rows() > 0);
  const int64_t rows = x.rows(), cols = x.cols(), grain = std::max<int64_t>(128, (rows + 31) / 32);
  const int64_t blocks = (rows + grain - 1) / grain;
  std::vector<std::vector<Value>> partial(static_cast<size_t>(blocks));
  ParallelFor(blocks, [&](int64_t b) {
    std::vector<Value> kept(static_cast<size_t>(cols * width), start);
    alignas(64) float buffer[kPiece];
    for (int64_t r = b * grain; r < std::min(rows, (b + 1) * grain); ++r) {
      for (int64_t c = 0; c < cols; c += kPiece) {
        const int64_t count = std::min(kPiece, cols - c);
        step(LoadF32(x, r * cols + c, count, buffer), c, count, kept);
      }
    }
    partial[b] = std::move(kept);
  });
  for (int64_t b = 1; b < blocks; ++b) merge(partial[0], partial[b]);
  return std::move(partial[0]);
}

void Put(const std::vector<float>& values, int64_t begin, const View& out) {
  std::copy_n(values.begin() + begin, out.size(), out.as<float>());
}

void CheckOut(const View& out, int64_t size) { MODELSLIM_CHECK(out.dtype == DType::kF32 && out.size() == size); }

template <class Op>
void ColumnFold(const ConstView& x, float start, const View& out) {
  CheckOut(out, x.cols());
  Put(OverRows(
          x, 1, start,
          [](const float* row, int64_t c, int64_t count, std::vector<float>& kept) {
            Fold<Op>(row, count, kept.data() + c);
          },
          [](std::vector<float>& to, const std::vector<float>& from) {
            Fold<Op>(from.data(), static_cast<int64_t>(from.size()), to.data());
          }),
      0, out);
}

constexpr int kLanes = 16;

// The range of one run of values; lanes of their own, so that the loop has no chain.
MODELSLIM_MULTIVERSION Range RangeOf(const float* x, int64_t count) {
  float min[kLanes], max[kLanes];
  std::fill(min, min + kLanes, kInfinity);
  std::fill(max, max + kLanes, -kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) {
      min[l] = Smaller()(min[l], x[i + l]);
      max[l] = Larger()(max[l], x[i + l]);
    }
  }
  for (; i < count; ++i) min[0] = Smaller()(min[0], x[i]), max[0] = Larger()(max[0], x[i]);
  for (int l = 1; l < kLanes; ++l) min[0] = Smaller()(min[0], min[l]), max[0] = Larger()(max[0], max[l]);
  return {min[0], max[0]};
}

Range Merge(const Range& a, const Range& b) { return {Smaller()(a.min, b.min), Larger()(a.max, b.max)}; }

// The range of elements [begin, end) of x.
Range RangeOfElements(const ConstView& x, int64_t begin, int64_t end) {
  alignas(64) float buffer[kPiece];
  Range range{kInfinity, -kInfinity};
  for (int64_t i = begin; i < end; i += kPiece) {
    const int64_t count = std::min(kPiece, end - i);
    range = Merge(range, RangeOf(LoadF32(x, i, count, buffer), count));
  }
  return range;
}

}  // namespace

Range MinMax(const ConstView& x) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && x.size() > 0);
  constexpr int64_t kGrain = 1 << 17;
  std::vector<Range> ranges(static_cast<size_t>((x.size() + kGrain - 1) / kGrain));
  ParallelRanges(x.size(), kGrain,
                 [&](int64_t begin, int64_t end) { ranges[begin / kGrain] = RangeOfElements(x, begin, end); });
  Range all = ranges[0];
  for (size_t i = 1; i < ranges.size(); ++i) all = Merge(all, ranges[i]);
  return all;
}

void ColumnMin(const ConstView& x, const View& out) { ColumnFold<Smaller>(x, kInfinity, out); }
void ColumnMax(const ConstView& x, const View& out) { ColumnFold<Larger>(x, -kInfinity, out); }
void ColumnAbsMax(const ConstView& x, const View& out) { ColumnFold<LargerMagnitude>(x, 0.0f, out); }

void ColumnMinMax(const ConstView& x, const View& min, const View& max) {
  const int64_t cols = x.cols();
  CheckOut(min, cols);
  CheckOut(max, cols);
  // Minima first, then the negated maxima, so that both start at infinity and merge alike.
  const std::vector<float> kept = OverRows(
      x, 2, kInfinity,
      [&](const float* row, int64_t c, int64_t count, std::vector<float>& values) {
        FoldBoth(row, count, values.data() + c, values.data() + cols + c);
      },
      [](std::vector<float>& to, const std::vector<float>& from) {
        Fold<Smaller>(from.data(), static_cast<int64_t>(from.size()), to.data());
      });
  Put(kept, 0, min);
  for (int64_t c = 0; c < cols; ++c) max.as<float>()[c] = -kept[cols + c];
}

void ColumnSumAbs(const ConstView& x, const View& sums) {
  MODELSLIM_CHECK(sums.dtype == DType::kF64 && sums.size() == x.cols());
  const std::vector<double> kept = OverRows(
      x, 1, 0.0,
      [](const float* row, int64_t c, int64_t count, std::vector<double>& values) {
        AddMagnitudes(row, count, values.data() + c);
      },
      [](std::vector<double>& to, const std::vector<double>& from) {
        for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
      });
  for (int64_t c = 0; c < x.cols(); ++c) sums.as<double>()[c] += kept[c];
}

void ColumnMeanAbs(const ConstView& x, const View& out) {
  CheckOut(out, x.cols());
  Tensor sums = Tensor::Zeros(DType::kF64, {x.cols()});
  ColumnSumAbs(x, sums.view());
  for (int64_t c = 0; c < x.cols(); ++c) {
    out.as<float>()[c] = static_cast<float>(sums.as<double>()[c] / static_cast<double>(x.rows()));
  }
}

void RowMinMax(const ConstView& x, const View& min, const View& max) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && x.cols() > 0);
  CheckOut(min, x.rows());
  CheckOut(max, x.rows());
  const int64_t cols = x.cols();
  ForRows(x.rows(), cols, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const Range range = RangeOfElements(x, r * cols, (r + 1) * cols);
      min.as<float>()[r] = range.min;
      max.as<float>()[r] = range.max;
    }
  });
}

void RowAbsMax(const ConstView& x, const View& out) {
  Tensor min(DType::kF32, {x.rows()});
  RowMinMax(x, min.view(), out);
  for (int64_t r = 0; r < out.size(); ++r) {
    out.as<float>()[r] = Larger()(std::fabs(out.as<float>()[r]), std::fabs(min.as<float>()[r]));
  }
}

}  // namespace modelslim
