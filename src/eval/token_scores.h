// What two models say of every next token, gathered while the logits pass by in tiles of the vocabulary, so that no row
// of them has to exist as a whole.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

// Of one predicted token.
struct TokenScore {
  double loss = 0;            // -log p(target), in nats, of the model
  double reference_loss = 0;  // of the reference
  double divergence = 0;      // sum over the vocabulary of p_reference (log p_reference - log p)
  bool same_top = false;      // both think the same token the likeliest (the first of equal ones)
};

// Rows of two models side by side; without a reference, only `loss` is meant.
class TokenScan {
 public:
  // targets[i]: the token that row i has to predict, or -1: the row does not count.
  explicit TokenScan(std::vector<int32_t> targets) : targets_(std::move(targets)), rows_(targets_.size()) {}

  // logits, reference: f32 [rows of the scan from `first_row` on, tile]; columns are tokens from `first_token` on.
  // Tiles come in order. `reference` may have null data. Runs on the compute pool; results depend on the tiles' widths
  // alone.
  void Add(int64_t first_row, int64_t first_token, const ConstView& logits, const ConstView& reference);
  // After the last tile, in the order of the rows that count.
  std::vector<TokenScore> Scores() const;

 private:
  // Of one model: e^(l - max) summed, the best token, the target's logit.
  struct Side {
    float max = -std::numeric_limits<float>::infinity();
    double sum = 0;
    int64_t best = -1;
    float target = 0;

    double log_sum() const { return static_cast<double>(max) + std::log(sum); }
  };
  struct Row {
    Side model, reference;
    double weighted = 0;  // sum of e^(l_reference - max) (l_reference - l)
  };
  static double Grow(const float* logits, int64_t n, int64_t first_token, int32_t target, Side* side);

  std::vector<int32_t> targets_;
  std::vector<Row> rows_;
};

// Of all tokens.
struct ScoreSummary {
  int64_t tokens = 0;
  double perplexity = 0, perplexity_error = 0;  // the error is the standard error, windows taken as independent
  double reference_perplexity = 0, reference_perplexity_error = 0;
  double log_ratio = 0, log_ratio_error = 0;  // of the two perplexities; of the same windows, so much surer
  double divergence = 0, divergence_error = 0;
  double divergence_50 = 0, divergence_90 = 0, divergence_99 = 0, divergence_999 = 0, divergence_max = 0;
  double same_top = 0;                     // share of tokens
  double change_mean = 0, change_rms = 0;  // of the target's probability, 0 to 1
};

// `per_window`: scores of each window, all of one length.
ScoreSummary Summarize(std::span<const TokenScore> scores, int64_t per_window);

}  // namespace modelslim
