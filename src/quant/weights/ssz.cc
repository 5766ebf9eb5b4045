#include "quant/weights/ssz.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "quant/numbers/affine.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/row_magnitude.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

// A row never looks at the others except for the common stop, so each runs on alone, in the cache, and notes what the
// stop needs to know. A step depends on the scale before it only, so a row ends when a scale comes back: whatever the
// cycle holds has been tried, and nothing can improve any more.
struct RowTrace {
  std::vector<bool> converged;                      // per step
  bool converged_afterwards = true;                 // of all steps beyond
  std::vector<std::pair<int, float>> improvements;  // step, scale; in order
  float initial = 0.0f;
};

struct Sums {
  double product, square;
};

// A row as its different values and how often each occurs. What a step does to a weight depends on its value alone, and
// a row of 16-bit weights has far fewer values than elements: some 1500 of 7168. Scratch of one thread.
class DistinctValues {
 public:
  // `row`: n elements of `dtype`. Values come in the order in which they first appear.
  void Read(const void* row, int64_t n, DType dtype) {
    if (DTypeSize(dtype) != 2) {
      values.resize(static_cast<size_t>(n));
      counts.assign(static_cast<size_t>(n), 1.0);
      LoadRun(row, dtype, n, values.data());
      return;
    }
    if (seen_.empty()) seen_.assign(1 << 16, 0);
    codes_.resize(static_cast<size_t>(n));
    const auto* const codes = static_cast<const uint16_t*>(row);
    uint32_t* const seen = seen_.data();
    uint16_t* const different = codes_.data();
    int64_t found = 0;
    for (int64_t i = 0; i < n; ++i) {
      different[found] = codes[i];
      found += ++seen[codes[i]] == 1;
    }
    values.resize(static_cast<size_t>(found));
    counts.resize(static_cast<size_t>(found));
    LoadRun(different, dtype, found, values.data());
    for (int64_t i = 0; i < found; ++i) counts[i] = std::exchange(seen[different[i]], 0U);
  }

  std::vector<float> values;
  std::vector<double> counts;

 private:
  std::vector<uint32_t> seen_;  // by bits: how often; zeros between two rows
  std::vector<uint16_t> codes_;
};

// The integers are those of 2.2 with offset 0; sums of R(w q) and R(q q) in f64, by 8 lanes so that the order is fixed.
template <class D>
MODELSLIM_INLINE Sums QuantizeAndSum(const float* w, const double* count, int64_t n, float scale, float lowest,
                                     float highest, float* q) {
  constexpr bool kReciprocal = std::is_same_v<D, BF16>;
  const float divide = kReciprocal ? 1.0f / scale : scale;
  double product = 0.0, square = 0.0;
#pragma omp simd reduction(+ : product, square) simdlen(8)
  for (int64_t i = 0; i < n; ++i) {
    const float quotient = FastRound<D>(kReciprocal ? w[i] * divide : w[i] / divide);
    q[i] = ClampAndRound(quotient, lowest, highest) - kRoundingMagic;
    product += count[i] * static_cast<double>(FastRound<D>(w[i] * q[i]));
    square += count[i] * static_cast<double>(FastRound<D>(q[i] * q[i]));
  }
  return {product, square};
}

// Sum of squared errors; D: dtype of weight and scale, P: of the error.
template <class D, class P>
MODELSLIM_INLINE double SquaredError(const float* w, const double* count, const float* q, int64_t n, float scale) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum) simdlen(8)
  for (int64_t i = 0; i < n; ++i) {
    const float error = FastRound<P>(w[i] - FastRound<P>(FastRound<D>(q[i] * scale)));
    sum += count[i] * static_cast<double>(FastRound<P>(error * error));
  }
  return sum;
}

#define MODELSLIM_SSZ(name, D)                                                                                       \
  MODELSLIM_MULTIVERSION Sums Sums##name(const float* w, const double* c, int64_t n, float s, float low, float high, \
                                         float* q) {                                                                 \
    return QuantizeAndSum<D>(w, c, n, s, low, high, q);                                                              \
  }                                                                                                                  \
  MODELSLIM_MULTIVERSION double Error##name(const float* w, const double* c, const float* q, int64_t n, float s) {   \
    return SquaredError<D, D>(w, c, q, n, s);                                                                        \
  }
#define MODELSLIM_SSZ_WIDE(name, D)                                                                                    \
  MODELSLIM_MULTIVERSION double WideError##name(const float* w, const double* c, const float* q, int64_t n, float s) { \
    return SquaredError<D, float>(w, c, q, n, s);                                                                      \
  }
MODELSLIM_SSZ(F32, float)
MODELSLIM_SSZ(BF16, BF16)
MODELSLIM_SSZ(F16, F16)
MODELSLIM_SSZ_WIDE(BF16, BF16)
MODELSLIM_SSZ_WIDE(F16, F16)
#undef MODELSLIM_SSZ_WIDE
#undef MODELSLIM_SSZ

struct Loops {
  Sums (*sums)(const float*, const double*, int64_t, float, float, float, float*);
  double (*error)(const float*, const double*, const float*, int64_t, float);
};

Loops LoopsFor(DType dtype, DType error_dtype) {
  const bool wide = dtype != error_dtype;
  if (dtype == DType::kBF16) return {SumsBF16, wide ? WideErrorBF16 : ErrorBF16};
  if (dtype == DType::kF16) return {SumsF16, wide ? WideErrorF16 : ErrorF16};
  return {SumsF32, ErrorF32};
}

// `n`: elements of the row.
RowTrace TraceRow(const DistinctValues& row, int64_t n, float largest, DType dtype, int bits, const WeightSpec& spec,
                  float* q) {
  const IntFormat format{bits, true};
  // F32 data with F = bf16: dequantized values are cast to bf16, which no configuration reaches; the promoted type is
  // f32.
  const DType error_dtype = Promote(dtype, spec.ssz_float_type);
  const Loops loops = LoopsFor(dtype, error_dtype);
  const float* const w = row.values.data();
  const double* const c = row.counts.data();
  const auto distinct = static_cast<int64_t>(row.values.size());
  const float floor = RoundTo(dtype, spec.december_2025 ? 1e-5f : 1e-30f), count = static_cast<float>(n);
  // A mean is one operation: its sum is not rounded to the error's type before the division.
  const auto mean_error = [&](float scale) {
    return RoundTo(error_dtype, static_cast<float>(loops.error(w, c, q, distinct, scale)) / count);
  };
  RowTrace trace;
  float scale = trace.initial = ParamsFromRange(-largest, largest, dtype, format).scale;
  Sums sums = loops.sums(w, c, distinct, scale, format.lowest(), format.highest(), q);
  float best = mean_error(scale);
  std::vector<uint32_t> seen = {std::bit_cast<uint32_t>(scale)};
  for (int step = 0; step < spec.ssz_steps; ++step) {
    const float denominator = RoundTo(dtype, static_cast<float>(sums.square));
    const float next =
        RoundTo(dtype, RoundTo(dtype, static_cast<float>(sums.product)) / (denominator < floor ? floor : denominator));
    const bool repeats = std::find(seen.begin(), seen.end(), std::bit_cast<uint32_t>(next)) != seen.end();
    seen.push_back(std::bit_cast<uint32_t>(next));
    scale = next;
    sums = loops.sums(w, c, distinct, scale, format.lowest(), format.highest(), q);
    const float current = mean_error(scale), gain = RoundTo(error_dtype, best - current);
    const float relative = RoundTo(error_dtype, gain / std::max(best, RoundTo(error_dtype, 1e-4f)));
    const float threshold = RoundTo(error_dtype, 1e-10f);
    trace.converged.push_back(relative < threshold || std::fabs(gain) < threshold);
    if (current < best) {
      best = current;
      trace.improvements.emplace_back(step, scale);
    }
    if (repeats) {
      trace.converged_afterwards = trace.converged.back();
      break;
    }
  }
  return trace;
}

}  // namespace

std::vector<float> SszScales(const ConstView& w, int bits, const WeightSpec& spec) {
  const int64_t rows = w.rows(), cols = w.cols(), size = static_cast<int64_t>(DTypeSize(w.dtype));
  std::vector<RowTrace> traces(rows);
  ParallelRanges(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    static thread_local DistinctValues distinct;  // its table is larger than the work of a few rows
    static thread_local std::vector<float> q;
    q.resize(static_cast<size_t>(cols));
    for (int64_t row = begin; row < end; ++row) {
      distinct.Read(static_cast<const std::byte*>(w.data) + row * cols * size, cols, w.dtype);
      traces[row] = TraceRow(distinct, cols, LargestMagnitude(w, row), w.dtype, bits, spec, q.data());
    }
  });
  size_t longest = 0;
  for (const RowTrace& trace : traces) longest = std::max(longest, trace.converged.size());
  std::vector<bool> all(longest + 1, true);  // the last one stands for every step beyond
  for (const RowTrace& trace : traces) {
    for (size_t step = 0; step <= longest; ++step) {
      if (!(step < trace.converged.size() ? trace.converged[step] : trace.converged_afterwards)) all[step] = false;
    }
  }
  // A trace that ran to the last step says nothing about the steps beyond, and need not.
  int stop = spec.ssz_steps;
  for (size_t step = 0; step <= longest; ++step) {
    if (all[step]) {
      stop = std::min(stop, static_cast<int>(step));
      break;
    }
  }
  std::vector<float> scales(rows);
  for (int64_t row = 0; row < rows; ++row) {
    scales[row] = traces[row].initial;
    for (const auto& [step, scale] : traces[row].improvements) {
      if (step < stop) scales[row] = scale;
    }
  }
  return scales;
}

}  // namespace modelslim
