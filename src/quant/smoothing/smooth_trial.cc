#include "quant/smoothing/smooth_trial.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/smoothing/smooth_int8.h"
#include "quant/smoothing/smooth_operands.h"

namespace modelslim {
namespace {

using smooth_int8::kPanelRows;
using smooth_int8::kTileRows;
using smooth_operands::ColumnErrors;
using smooth_operands::Side;

constexpr int64_t kTilesAtOnce = 8;                             // packed activations that stay in the second cache
constexpr int64_t kRowsAtOnce = 11 * kTilesAtOnce * kTileRows;  // between two looks at the bound
constexpr int64_t kPanelsAtOnce = 32;
constexpr int64_t kRowGap = 64;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

const std::byte* RowOf(const ConstView& matrix, int64_t row) {
  return static_cast<const std::byte*>(matrix.data) +
         row * matrix.cols() * static_cast<int64_t>(DTypeSize(matrix.dtype));
}

double SumInOrder(const std::vector<double>& parts) {
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

// Fake-quantized rows [begin, end) of `from` into `to`; false when one of them is no number.
bool FakeQuantRows(const ConstView& from, int64_t begin, int64_t end, const std::vector<float>& scale, Side side,
                   const View& to) {
  std::atomic<bool> fine{true};
  ParallelRanges(end - begin, 16, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      void* const out = static_cast<std::byte*>(to.data) + r * to.cols() * static_cast<int64_t>(DTypeSize(to.dtype));
      if (!smooth_operands::FakeQuantRow(RowOf(from, begin + r), from.dtype, scale.data(), side, from.cols(), out)) {
        fine = false;
      }
    }
  });
  return fine;
}

// Rows of one operand as int8 tiles (or panels), with their scales and, in half precision, what the integers leave
// over.
template <class Byte>
struct Packed {
  int64_t rows = 0, quads = 0, tile = 0;
  std::vector<float> scale;
  std::vector<int32_t> sum;
  ColumnErrors errors;
  bool fine = true;
  std::vector<Byte> bytes;

  const Byte* Tile(int64_t i) const { return bytes.data() + i * quads * tile * 4; }

  // Rows [begin, end) of `from`, in pieces of `tiles_at_once` tiles.
  void Pack(const ConstView& from, int64_t begin, int64_t end, const std::vector<float>& factors, Side side,
            int64_t tiles_at_once);

 private:
  void PackOneTile(const ConstView& from, int64_t first_row, int64_t tile_index, const std::vector<float>& factors,
                   Side side, ColumnErrors* piece_errors, std::atomic<bool>* all_fine);
};

template <class Byte>
void Packed<Byte>::PackOneTile(const ConstView& from, int64_t first_row, int64_t tile_index,
                               const std::vector<float>& factors, Side side, ColumnErrors* piece_errors,
                               std::atomic<bool>* all_fine) {
  constexpr int64_t kTogether = smooth_operands::kFitRows;
  const int64_t columns = from.cols(), begin = tile_index * tile, count = std::min(tile, rows - begin);
  // Rows a power of two apart would fall into the same few lines of the cache.
  const int64_t stride = columns + kRowGap;
  thread_local std::vector<float> q, v;
  thread_local std::vector<int8_t> integers;
  q.resize(kTogether * stride);
  v.resize(from.dtype != DType::kF32 ? kTogether * stride : 0);  // f32 needs none: it is not fitted
  integers.resize(tile * stride);
  for (int64_t first = 0; first < count; first += kTogether) {
    const int64_t together = std::min(kTogether, count - first);
    float delta[kTogether];
    for (int64_t r = 0; r < together; ++r) {
      float* const row = q.data() + r * stride;
      delta[r] = smooth_operands::QuantizeRow(RowOf(from, first_row + begin + first + r), from.dtype, factors.data(),
                                              side, columns, v.empty() ? row : v.data() + r * stride, row);
      if (delta[r] == 0.0f) {
        *all_fine = false;
        return;
      }
      sum[begin + first + r] = smooth_int8::ToBytes(row, columns, integers.data() + (first + r) * stride);
    }
    smooth_operands::FitRows({v.data(), q.data(), delta, together, columns, stride}, from.dtype, piece_errors,
                             &scale[begin + first]);
  }
  Byte* const out = bytes.data() + tile_index * quads * tile * 4;
  const smooth_int8::ByteRows from_bytes{integers.data(), count, columns, stride};
  if constexpr (std::is_signed_v<Byte>) {
    smooth_int8::PackTile(from_bytes, quads, out);
  } else {
    smooth_int8::PackPanel(from_bytes, quads, out);
  }
}

template <class Byte>
void Packed<Byte>::Pack(const ConstView& from, int64_t begin, int64_t end, const std::vector<float>& factors, Side side,
                        int64_t tiles_at_once) {
  const int64_t columns = from.cols();
  tile = std::is_signed_v<Byte> ? kTileRows : kPanelRows;
  rows = end - begin;
  quads = CeilDiv(columns, 4);
  const int64_t tiles = CeilDiv(rows, tile), pieces = CeilDiv(tiles, tiles_at_once);
  bytes.resize(tiles * tile * quads * 4);
  scale.resize(rows);
  sum.resize(rows);
  std::atomic<bool> all_fine{true};
  const int64_t fitted = from.dtype != DType::kF32 ? columns : 0;
  std::vector<ColumnErrors> piece_errors(pieces);
  ParallelFor(pieces, [&](int64_t p) {
    piece_errors[p].Reset(fitted);
    for (int64_t t = p * tiles_at_once; t < std::min(tiles, (p + 1) * tiles_at_once); ++t) {
      PackOneTile(from, begin, t, factors, side, &piece_errors[p], &all_fine);
    }
  });
  fine = all_fine;
  errors.Reset(fitted);
  for (const ColumnErrors& piece : piece_errors) errors.Add(piece);
}

using PackedActivations = Packed<int8_t>;
using PackedWeights = Packed<uint8_t>;

// What the rounding of the operands' values changes in the squared error. The error of a product is
// ea w' + v eb' + ea eb' with ea, eb the operands' errors; its expected square is the sum over channels below, if
// channels are independent. Taken as a difference, so that only what differs has to be expected.
double RoundingEffect(const ColumnErrors& a, const ColumnErrors& b) {
  const auto expected = [](double a_square, double a_dot, double a_energy, double b_square, double b_dot,
                           double b_energy) {
    return a_square * b_energy + a_energy * b_square + a_square * b_square + 2 * a_dot * b_dot;
  };
  double effect = 0;
  for (size_t c = 0; c < a.energy.size(); ++c) {
    effect += expected(a.rounded_square[c], a.rounded_dot[c], a.energy[c], b.rounded_square[c], b.rounded_dot[c],
                       b.energy[c]) -
              expected(a.exact_square[c], a.exact_dot[c], a.energy[c], b.exact_square[c], b.exact_dot[c], b.energy[c]);
  }
  return effect;
}

// Squared error of the rows in `a`, which are rows first_row ... of the reference product.
double SquaredErrorOf(const PackedActivations& a, const PackedWeights& b, const Tensor& reference, int64_t first_row) {
  const int64_t tiles = CeilDiv(a.rows, kTileRows), panels = CeilDiv(b.rows, kPanelRows);
  const int64_t row_tasks = CeilDiv(tiles, kTilesAtOnce), column_tasks = CeilDiv(panels, kPanelsAtOnce);
  std::vector<double> parts(row_tasks * column_tasks);
  const int64_t stride = b.rows, element = static_cast<int64_t>(DTypeSize(reference.dtype()));
  const auto* const products = static_cast<const std::byte*>(reference.view().data);
  ParallelFor(row_tasks * column_tasks, [&](int64_t task) {
    const int64_t first_tile = task / column_tasks * kTilesAtOnce, first_panel = task % column_tasks * kPanelsAtOnce;
    double sum = 0;
    for (int64_t p = first_panel; p < std::min(panels, first_panel + kPanelsAtOnce); ++p) {
      for (int64_t t = first_tile; t < std::min(tiles, first_tile + kTilesAtOnce); ++t) {
        const int64_t row = t * kTileRows, column = p * kPanelRows;
        const std::byte* const g = products + ((first_row + row) * stride + column) * element;
        sum += smooth_int8::TileError({a.Tile(t), &a.scale[row], &a.sum[row], std::min(kTileRows, a.rows - row),
                                       b.Tile(p), &b.scale[column], std::min(kPanelRows, b.rows - column), a.quads},
                                      g, reference.dtype(), stride);
      }
    }
    parts[task] = sum;
  });
  return SumInOrder(parts);
}

std::vector<double> RowSquares(const ConstView& matrix) {
  std::vector<double> squares(matrix.rows());
  ParallelRanges(matrix.rows(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      squares[r] = smooth_operands::SquaredSum(RowOf(matrix, r), matrix.dtype, matrix.cols());
    }
  });
  return squares;
}

// How many rows of equal weight count as much as these: one loud row among silent ones counts as one.
double EffectiveCount(const std::vector<double>& squares) {
  double sum = 0, sum_of_squares = 0;
  for (const double square : squares) {
    sum += square;
    sum_of_squares += square * square;
  }
  return sum_of_squares > 0 ? sum * sum / sum_of_squares : 0;
}

}  // namespace

SmoothTrials::SmoothTrials(const ConstView& act, const ConstView& weight)
    : act_(act), weight_(weight), dtype_(weight.dtype), reference_(weight.dtype, {act.rows(), weight.rows()}) {
  MODELSLIM_CHECK(act.dtype == dtype_ && act.cols() == weight.cols() && act.rows() > 0 && weight.rows() > 0);
  Linear(act, weight, {}, reference_.view());
  const std::vector<double> parts = RowSquares(reference_.view());
  const double mean = SumInOrder(parts) / static_cast<double>(reference_.size());
  norm_ = RoundTo(dtype_, std::sqrt(RoundTo(dtype_, static_cast<float>(mean))));
  const double size = EffectiveCount(parts) * EffectiveCount(RowSquares(weight));
  const double constant = dtype_ == DType::kBF16 ? 2.5 : dtype_ == DType::kF16 ? 0.3 : 0.0;
  tolerance_ = constant / std::sqrt(std::max(size, 1.0));
}

double SmoothTrials::work() const {
  return static_cast<double>(act_.rows()) * static_cast<double>(weight_.rows()) * static_cast<double>(act_.cols());
}

bool SmoothTrials::CanEstimate(int64_t columns) {
  return smooth_int8::Available() && columns <= smooth_int8::kMaxColumns;
}

uint64_t SmoothTrials::Bytes(int64_t tokens, int64_t channels, int64_t out, DType dtype) {
  const auto size = static_cast<uint64_t>(DTypeSize(dtype)), weight = static_cast<uint64_t>(out * channels);
  const uint64_t rows = static_cast<uint64_t>(std::min(tokens, kRowsAtOnce) * (channels + out)) * size;
  return static_cast<uint64_t>(tokens * out) * size + weight * size + PackedBytes(out, channels, dtype, dtype) + rows;
}

float SmoothTrials::Finish(double squares) const {
  const float mean = RoundTo(dtype_, static_cast<float>(squares / static_cast<double>(reference_.size())));
  return RoundTo(dtype_, RoundTo(dtype_, std::sqrt(mean)) / norm_);
}

SmoothTrials::Error SmoothTrials::Exact(const std::vector<float>& scale, float bound) const {
  Tensor b(dtype_, weight_.shape);
  if (!FakeQuantRows(weight_, 0, weight_.rows(), scale, Side::kWeight, b.view())) return {kNan, kNan};
  const PackedWeight packed(b.view(), dtype_);
  double squares = 0;
  const int64_t tokens = act_.rows(), out = weight_.rows();
  for (int64_t begin = 0; begin < tokens; begin += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, tokens - begin);
    Tensor a(dtype_, {rows, act_.cols()}), y(dtype_, {rows, out});
    if (!FakeQuantRows(act_, begin, begin + rows, scale, Side::kActivation, a.view())) return {kNan, kNan};
    packed.Apply(a.view(), {}, y.view());
    std::vector<double> parts(rows);
    ParallelRanges(rows, 16, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        parts[r] = smooth_operands::SquaredError(RowOf(y.view(), r), RowOf(reference_.view(), begin + r), dtype_, out);
      }
    });
    squares += SumInOrder(parts);
    const float low = Finish(squares);
    if (begin + rows < tokens && low > bound) return {low, kInf};
  }
  const float error = Finish(squares);
  return {error, error};
}

SmoothTrials::Error SmoothTrials::Estimate(const std::vector<float>& scale, float bound) const {
  PackedWeights b;
  b.Pack(weight_, 0, weight_.rows(), scale, Side::kWeight, 8);
  if (!b.fine) return {kNan, kNan};
  double squares = 0;
  const int64_t tokens = act_.rows();
  PackedActivations a;
  for (int64_t begin = 0; begin < tokens; begin += kRowsAtOnce) {
    const int64_t end = std::min(tokens, begin + kRowsAtOnce);
    a.Pack(act_, begin, end, scale, Side::kActivation, kTilesAtOnce);
    if (!a.fine) return {kNan, kNan};
    squares += SquaredErrorOf(a, b, reference_, begin) + RoundingEffect(a.errors, b.errors);
    const float low = Finish(squares * (1 - tolerance_));
    if (end < tokens && low > bound) return {low, kInf};
  }
  return {Finish(squares * (1 - tolerance_)), Finish(squares * (1 + tolerance_))};
}

}  // namespace modelslim
