#include "quant/smoothing/smooth_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/numbers/affine.h"
#include "quant/smoothing/smooth_operands.h"
#include "quant/smoothing/smooth_trial.h"

namespace modelslim {
namespace {

constexpr int kGrid = 21;
constexpr float kInf = std::numeric_limits<float>::infinity();
// From here on int8 products pay; below, everything is exact and cheap.
constexpr double kEstimateFrom = 4e9;

double GridValue(int i) { return 5 * i / 100.0; }

[[noreturn]] void Refuse(const std::string& why) { throw Error(ErrorCode::kMisuse, "smoothing search: " + why); }

// The operands of the search: one type, one weight matrix, and, when asked, without rows of zeros.
struct Operands {
  Tensor act, weight;
};

// Rows of all `parts` in order, converted to `dtype`; rows of zeros only when `keep_zero_rows`.
Tensor Stacked(std::span<const ConstView> parts, DType dtype, bool keep_zero_rows) {
  std::vector<Tensor> converted;
  std::vector<std::pair<const std::byte*, size_t>> rows;
  const int64_t cols = parts[0].cols();
  for (const ConstView& part : parts) {
    converted.push_back(ConvertTo(part, dtype));
    const ConstView view = converted.back().view();
    const size_t bytes = static_cast<size_t>(cols) * DTypeSize(dtype);
    for (int64_t r = 0; r < part.rows(); ++r) {
      const auto* row = static_cast<const std::byte*>(view.data) + static_cast<size_t>(r) * bytes;
      if (keep_zero_rows || smooth_operands::SquaredSum(row, dtype, cols) != 0.0) rows.emplace_back(row, bytes);
    }
  }
  if (keep_zero_rows && converted.size() == 1) {
    converted[0].Reshape({parts[0].rows(), cols});
    return std::move(converted[0]);
  }
  Tensor all(dtype, {static_cast<int64_t>(rows.size()), cols});
  auto* to = static_cast<std::byte*>(all.view().data);
  for (const auto& [row, bytes] : rows) {
    std::memcpy(to, row, bytes);
    to += bytes;
  }
  return all;
}

Operands MakeOperands(const ConstView& act, std::span<const ConstView> weights, bool skip_zero_rows) {
  if (weights.empty()) Refuse("no weights");
  for (const ConstView& weight : weights) {
    if (weight.shape.size() != 2 || weight.cols() != act.cols() || weight.dtype != weights[0].dtype ||
        !IsModelDType(weight.dtype)) {
      Refuse("weight " + ShapeText(weight.shape) + " of " + std::string(DTypeName(weight.dtype)) +
             " beside activations " + ShapeText(act.shape) + " and a first weight of " +
             std::string(DTypeName(weights[0].dtype)));
    }
  }
  if (!IsModelDType(act.dtype) || act.rows() == 0) Refuse("activations " + ShapeText(act.shape) + " hold no tokens");
  const DType dtype = weights[0].dtype;
  return {Stacked({&act, 1}, dtype, !skip_zero_rows), Stacked(weights, dtype, !skip_zero_rows)};
}

// One line of the grid: picks the last of the smallest errors, if it is at most `best`.
class Stage {
 public:
  using Evaluate = std::function<SmoothTrials::Error(int index, float bound)>;

  // `first` is tried first and the others by their distance from it, so that hopeless ones stop early.
  Stage(int first, float best, const Evaluate& estimate, const Evaluate& exact) : best_(best), bound_(best) {
    for (int distance = 0; distance < kGrid; ++distance) {
      for (const int i : {first + distance, first - distance}) {
        if (i >= 0 && i < kGrid && !errors_[i]) Keep(i, estimate(i, bound_));
      }
    }
    while (const auto i = Undecided()) Keep(*i, exact(*i, bound_));
  }

  std::optional<int> Winner() const {
    std::optional<int> winner;
    float least = best_;
    for (int i = 0; i < kGrid; ++i) {
      if (!errors_[i]->decided() || !(errors_[i]->low <= least)) continue;
      least = errors_[i]->low;
      winner = i;
    }
    return winner;
  }

  float ErrorAt(int i) const { return errors_[i]->low; }

  std::vector<float> Errors() const {
    std::vector<float> errors;
    for (const auto& error : errors_) {
      errors.push_back(error->decided() ? error->low : std::numeric_limits<float>::quiet_NaN());
    }
    return errors;
  }

 private:
  void Keep(int i, const SmoothTrials::Error& error) {
    errors_[i] = error;
    if (error.high < bound_) bound_ = error.high;
  }

  // The most promising candidate that could win and whose error is not known to the last bit.
  std::optional<int> Undecided() const {
    std::optional<int> next;
    for (int i = kGrid - 1; i >= 0; --i) {
      const SmoothTrials::Error& error = *errors_[i];
      if (error.decided() || std::isnan(error.low) || error.low > bound_ || BeatenByLater(i)) continue;
      if (!next || error.low < errors_[*next]->low) next = i;
    }
    return next;
  }

  bool BeatenByLater(int i) const {
    for (int j = i + 1; j < kGrid; ++j) {
      if (errors_[j]->decided() && errors_[j]->low <= errors_[i]->low) return true;
    }
    return false;
  }

  float best_, bound_;
  std::optional<SmoothTrials::Error> errors_[kGrid];
};

// a^alpha * w^(-beta), in the common type of both, unclamped as in the reference.
std::vector<float> TrialScale(const Channels& a, const Channels& w, double alpha, double beta, bool mend) {
  const Channels top = Power(a, alpha), bottom = Power(w, -beta);
  std::vector<float> scale(a.values.size());
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] = RoundTo(a.dtype, top.values[c] * bottom.values[c]);
    if (mend && !(scale[c] > 0.0f && std::isfinite(scale[c]))) scale[c] = 1.0f;
  }
  return scale;
}

Channels RowsAbsMax(const Tensor& matrix) {
  const ConstView view = matrix.view();
  return ColumnMax({&view, 1});
}

}  // namespace

uint64_t FlexSmoothBytes(int64_t tokens, int64_t channels, int64_t out, DType dtype) {
  const auto act = static_cast<uint64_t>(tokens * channels) * DTypeSize(dtype),
             weight = static_cast<uint64_t>(out * channels) * DTypeSize(dtype);
  // The rows of several weights are converted one by one and then put together.
  return act + weight + std::max(weight, SmoothTrials::Bytes(tokens, channels, out, dtype));
}

FlexSearchResult FlexSmoothSearch(const ConstView& act, std::span<const ConstView> weights,
                                  const FlexSearchOptions& options) {
  const Operands operands = MakeOperands(act, weights, options.skip_zero_rows);
  FlexSearchResult result;
  result.error = kInf;
  if (operands.act.view().rows() == 0 || operands.weight.view().rows() == 0) return result;  // nothing but zeros
  const Channels a = RowsAbsMax(operands.act), w = RowsAbsMax(operands.weight);
  const SmoothTrials trials(operands.act.view(), operands.weight.view());
  const bool can = SmoothTrials::CanEstimate(act.cols());
  using Products = FlexSearchOptions::Products;
  const bool int8 = can && (options.products == Products::kInt8 ||
                            (options.products == Products::kAuto && trials.work() >= kEstimateFrom));

  std::vector<float> known_scale;  // of the first stage's winner, which the second meets again
  const auto stage = [&](int first, float best, const auto& scale_of) {
    const auto trial = [&](auto run, int i, float bound) {
      const std::vector<float> scale = scale_of(i);
      return scale == known_scale ? SmoothTrials::Error{result.error, result.error} : (trials.*run)(scale, bound);
    };
    const auto exact = [=](int i, float bound) { return trial(&SmoothTrials::Exact, i, bound); };
    const auto estimate = [=](int i, float bound) { return trial(&SmoothTrials::Estimate, i, bound); };
    return int8 ? Stage(first, best, estimate, exact) : Stage(first, best, exact, exact);
  };
  const bool mend = options.skip_zero_rows;
  const Stage stage1 =
      stage(kGrid / 2, kInf, [&](int i) { return TrialScale(a, w, GridValue(i), 1.0 - GridValue(i), mend); });
  result.stage1 = stage1.Errors();
  if (const auto winner = stage1.Winner()) {
    result.alpha = GridValue(*winner);
    result.error = stage1.ErrorAt(*winner);
    known_scale = TrialScale(a, w, result.alpha, 1.0 - result.alpha, mend);
  }
  const int middle = std::clamp(static_cast<int>(std::lround((1.0 - result.alpha) * 20)), 0, kGrid - 1);
  const Stage stage2 =
      stage(middle, result.error, [&](int i) { return TrialScale(a, w, result.alpha, GridValue(i), mend); });
  result.stage2 = stage2.Errors();
  if (const auto winner = stage2.Winner()) {
    result.beta = GridValue(*winner);
    result.error = stage2.ErrorAt(*winner);
  }
  return result;
}

namespace {

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
  result.error = kInf;
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
