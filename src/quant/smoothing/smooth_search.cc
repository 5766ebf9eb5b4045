#include "quant/smoothing/smooth_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "quant/smoothing/search_operands.h"
#include "quant/smoothing/smooth_trial.h"

namespace modelslim {
namespace {

using smooth_search::GridValue;
using smooth_search::kGrid;
using smooth_search::MakeOperands;
using smooth_search::Operands;
using smooth_search::RowsAbsMax;

constexpr float kInf = std::numeric_limits<float>::infinity();
// From here on int8 products pay; below, everything is exact and cheap.
constexpr double kEstimateFrom = 4e9;

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

}  // namespace modelslim
