#include "eval/token_scores.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace modelslim {
namespace {

Tensor Random(int64_t rows, int64_t cols, uint32_t seed, float spread) {
  Tensor made(DType::kF32, {rows, cols});
  uint32_t state = seed;
  for (int64_t i = 0; i < made.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    made.as<float>()[i] = spread * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f);
  }
  return made;
}

Tensor Columns(const Tensor& from, int64_t begin, int64_t end) {
  const int64_t rows = from.shape()[0], cols = from.shape()[1];
  Tensor made(DType::kF32, {rows, end - begin});
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(from.as<float>() + row * cols + begin, end - begin, made.as<float>() + row * (end - begin));
  return made;
}

struct Truth {
  double loss = 0, reference_loss = 0, divergence = 0;
  bool same_top = false;
};

// The definitions, in f64.
Truth TruthOf(const float* own, const float* theirs, int64_t n, int64_t target) {
  const auto log_sum = [n](const float* x) {
    const auto max = static_cast<double>(*std::max_element(x, x + n));
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - max);
    return max + std::log(sum);
  };
  const double a = log_sum(own), b = log_sum(theirs);
  Truth truth;
  truth.loss = a - static_cast<double>(own[target]);
  truth.reference_loss = b - static_cast<double>(theirs[target]);
  for (int64_t i = 0; i < n; ++i) {
    const double q = static_cast<double>(own[i]) - a, p = static_cast<double>(theirs[i]) - b;
    truth.divergence += std::exp(p) * (p - q);
  }
  truth.same_top = std::max_element(own, own + n) - own == std::max_element(theirs, theirs + n) - theirs;
  return truth;
}

void Scan(TokenScan& scan, const Tensor& own, const Tensor& theirs, int64_t tile) {
  for (int64_t at = 0; at < own.shape()[1]; at += tile) {
    const int64_t end = std::min(own.shape()[1], at + tile);
    scan.Add(0, at, Columns(own, at, end).view(), Columns(theirs, at, end).view());
  }
}

TEST(TokenScan, MatchesTheDefinitions) {
  for (const float spread : {0.01f, 3.0f, 60.0f}) {
    const int64_t rows = 9, cols = 1003;
    const Tensor own = Random(rows, cols, 1, spread);
    Tensor theirs = Random(rows, cols, 2, spread / 10);
    for (int64_t i = 0; i < theirs.size(); ++i) theirs.as<float>()[i] += own.as<float>()[i];
    std::vector<int32_t> targets;
    for (int32_t i = 0; i < rows; ++i) targets.push_back(i == 4 ? -1 : (i * 131) % 1003);
    for (const int64_t tile : {cols, int64_t{1}, int64_t{64}, int64_t{333}}) {
      TokenScan scan(targets);
      Scan(scan, own, theirs, tile);
      const std::vector<TokenScore> scores = scan.Scores();
      ASSERT_EQ(scores.size(), 8u);
      size_t at = 0;
      for (int64_t row = 0; row < rows; ++row) {
        if (targets[static_cast<size_t>(row)] < 0) continue;
        const Truth truth = TruthOf(own.as<float>() + row * cols, theirs.as<float>() + row * cols, cols,
                                    targets[static_cast<size_t>(row)]);
        const TokenScore& score = scores[at++];
        // Exponentials and their sums are f32: a few units of 2^-24 of numbers about 1, and of differences of logits.
        const double tolerance = 2e-6 * (1 + static_cast<double>(spread));
        EXPECT_NEAR(score.loss, truth.loss, tolerance);
        EXPECT_NEAR(score.reference_loss, truth.reference_loss, tolerance);
        EXPECT_NEAR(score.divergence, truth.divergence, tolerance);
        EXPECT_EQ(score.same_top, truth.same_top);
      }
    }
  }
}

TEST(TokenScan, EqualModelsDoNotDiverge) {
  const Tensor logits = Random(3, 500, 7, 5);
  TokenScan scan({1, 2, 3});
  Scan(scan, logits, logits, 128);
  for (const TokenScore& score : scan.Scores()) {
    EXPECT_NEAR(score.divergence, 0, 1e-12);
    EXPECT_EQ(score.loss, score.reference_loss);
    EXPECT_TRUE(score.same_top);
  }
}

TEST(Summarize, WorkedExample) {
  // Two windows of two tokens.
  std::vector<TokenScore> scores(4);
  const double losses[] = {1, 3, 2, 4}, divergences[] = {0.1, 0.2, 0.3, 0.8};
  for (size_t i = 0; i < 4; ++i) {
    scores[i].loss = losses[i];
    scores[i].reference_loss = losses[i] - (i < 2 ? 0.5 : 0.25);
    scores[i].divergence = divergences[i];
    scores[i].same_top = i != 1;
  }
  const ScoreSummary summary = Summarize(scores, 2);
  EXPECT_EQ(summary.tokens, 4);
  EXPECT_DOUBLE_EQ(summary.perplexity, std::exp(2.5));
  // Windows have 2 and 3: their deviation is sqrt(0.5), that of the mean 0.5.
  EXPECT_DOUBLE_EQ(summary.perplexity_error, std::exp(2.5) * 0.5);
  EXPECT_DOUBLE_EQ(summary.log_ratio, 0.375);
  EXPECT_DOUBLE_EQ(summary.log_ratio_error, 0.125);
  EXPECT_DOUBLE_EQ(summary.divergence, 0.35);
  EXPECT_DOUBLE_EQ(summary.divergence_50, 0.25);
  EXPECT_NEAR(summary.divergence_90, 0.3 + 0.7 * 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(summary.divergence_max, 0.8);
  EXPECT_DOUBLE_EQ(summary.same_top, 0.75);
  const double change = std::exp(-1) - std::exp(-0.5);
  EXPECT_LT(summary.change_mean, 0);
  EXPECT_GE(summary.change_rms, -summary.change_mean);
  EXPECT_GT(summary.change_rms, -change / 2);
}

}  // namespace
}  // namespace modelslim
