#include "eval/token_scores.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"
#include "kernels/multiversion.h"
#include "kernels/vector_math.h"

namespace modelslim {
namespace {

constexpr int64_t kLanes = 16;  // partial sums, so that the order is that of the data on every machine

// e[i] = e^(x[i] - max).
MODELSLIM_MULTIVERSION void Exponentials(const float* x, int64_t n, float max, float* __restrict e) {
  for (int64_t i = 0; i < n; ++i) e[i] = VectorExpOfNegative(x[i] - max);
}

MODELSLIM_MULTIVERSION void SumLanes(const float* x, int64_t n, float* __restrict lanes) {
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += x[i + j];
  }
}

// Of x[i] (a[i] - b[i]).
MODELSLIM_MULTIVERSION void SumWeighted(const float* x, const float* a, const float* b, int64_t n,
                                        float* __restrict lanes) {
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += x[i + j] * (a[i + j] - b[i + j]);
  }
}

double Total(const std::array<float, kLanes>& lanes) {
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

double SumOf(const std::vector<float>& x) {
  std::array<float, kLanes> lanes{};
  const auto n = static_cast<int64_t>(x.size());
  SumLanes(x.data(), n, lanes.data());
  double sum = Total(lanes);
  for (int64_t i = n - n % kLanes; i < n; ++i) sum += static_cast<double>(x[static_cast<size_t>(i)]);
  return sum;
}

double SumOfProducts(const std::vector<float>& x, const float* a, const float* b) {
  std::array<float, kLanes> lanes{};
  const auto n = static_cast<int64_t>(x.size());
  SumWeighted(x.data(), a, b, n, lanes.data());
  double sum = Total(lanes);
  for (int64_t i = n - n % kLanes; i < n; ++i) sum += static_cast<double>(x[static_cast<size_t>(i)] * (a[i] - b[i]));
  return sum;
}

struct Mean {
  double value = 0, error = 0;
};

// Of the windows' means, and how sure that is.
Mean MeanOf(const std::vector<double>& windows) {
  Mean mean;
  const auto n = static_cast<double>(windows.size());
  for (const double value : windows) mean.value += value / n;
  if (windows.size() < 2) return mean;
  double squares = 0;
  for (const double value : windows) squares += (value - mean.value) * (value - mean.value);
  mean.error = std::sqrt(squares / (n - 1) / n);
  return mean;
}

template <class Measure>
std::vector<double> WindowMeans(std::span<const TokenScore> scores, int64_t per_window, Measure measure) {
  std::vector<double> means;
  for (size_t begin = 0; begin < scores.size(); begin += static_cast<size_t>(per_window)) {
    double sum = 0;
    for (const TokenScore& score : scores.subspan(begin, static_cast<size_t>(per_window))) sum += measure(score);
    means.push_back(sum / static_cast<double>(per_window));
  }
  return means;
}

// The value that a share of the others does not exceed, between neighbours by their distance.
double Quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

// Takes in the logits of a tile; returns the factor by which earlier sums were multiplied.
double TokenScan::Grow(const float* logits, int64_t n, int64_t first_token, int32_t target, Side* side) {
  const float* const largest = std::max_element(logits, logits + n);
  double factor = 1;
  if (*largest > side->max) {
    factor = std::exp(static_cast<double>(side->max) - static_cast<double>(*largest));
    side->sum *= factor;
    side->max = *largest;
    side->best = first_token + (largest - logits);
  }
  const int64_t at = target - first_token;
  if (at >= 0 && at < n) side->target = logits[at];
  return factor;
}

void TokenScan::Add(int64_t first_row, int64_t first_token, const ConstView& logits, const ConstView& reference) {
  const int64_t n = logits.cols();
  ParallelRanges(logits.rows(), std::max<int64_t>(1, 65536 / std::max<int64_t>(1, n)), [&](int64_t begin, int64_t end) {
    std::vector<float> e(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(first_row + i);
      if (targets_[at] < 0) continue;
      Row& row = rows_[at];
      const float* const own = logits.as<float>() + i * n;
      Grow(own, n, first_token, targets_[at], &row.model);
      Exponentials(own, n, row.model.max, e.data());
      row.model.sum += SumOf(e);
      if (reference.data == nullptr) continue;
      const float* const theirs = reference.as<float>() + i * n;
      row.weighted *= Grow(theirs, n, first_token, targets_[at], &row.reference);
      Exponentials(theirs, n, row.reference.max, e.data());
      row.reference.sum += SumOf(e);
      row.weighted += SumOfProducts(e, theirs, own);
    }
  });
}

std::vector<TokenScore> TokenScan::Scores() const {
  std::vector<TokenScore> scores;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (targets_[i] < 0) continue;
    const Row& row = rows_[i];
    TokenScore score;
    score.loss = row.model.log_sum() - static_cast<double>(row.model.target);
    if (row.reference.best >= 0) {
      score.reference_loss = row.reference.log_sum() - static_cast<double>(row.reference.target);
      score.divergence = row.weighted / row.reference.sum - row.reference.log_sum() + row.model.log_sum();
      score.same_top = row.model.best == row.reference.best;
    }
    scores.push_back(score);
  }
  return scores;
}

ScoreSummary Summarize(std::span<const TokenScore> scores, int64_t per_window) {
  ScoreSummary summary;
  summary.tokens = static_cast<int64_t>(scores.size());
  const auto mean_of = [&](auto measure) { return MeanOf(WindowMeans(scores, per_window, measure)); };
  const Mean loss = mean_of([](const TokenScore& score) { return score.loss; });
  const Mean reference = mean_of([](const TokenScore& score) { return score.reference_loss; });
  const Mean ratio = mean_of([](const TokenScore& score) { return score.loss - score.reference_loss; });
  const Mean divergence = mean_of([](const TokenScore& score) { return score.divergence; });
  summary.perplexity = std::exp(loss.value);
  summary.perplexity_error = summary.perplexity * loss.error;
  summary.reference_perplexity = std::exp(reference.value);
  summary.reference_perplexity_error = summary.reference_perplexity * reference.error;
  summary.log_ratio = ratio.value;
  summary.log_ratio_error = ratio.error;
  summary.divergence = divergence.value;
  summary.divergence_error = divergence.error;
  std::vector<double> sorted;
  double changes = 0, squares = 0, same = 0;
  for (const TokenScore& score : scores) {
    sorted.push_back(score.divergence);
    const double change = std::exp(-score.loss) - std::exp(-score.reference_loss);
    changes += change;
    squares += change * change;
    same += score.same_top ? 1 : 0;
  }
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<double>(scores.size());
  summary.divergence_50 = Quantile(sorted, 0.5);
  summary.divergence_90 = Quantile(sorted, 0.9);
  summary.divergence_99 = Quantile(sorted, 0.99);
  summary.divergence_999 = Quantile(sorted, 0.999);
  summary.divergence_max = sorted.back();
  summary.same_top = same / count;
  summary.change_mean = changes / count;
  summary.change_rms = std::sqrt(squares / count);
  return summary;
}

}  // namespace modelslim
