// The searches for smoothing exponents.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "quant/smoothing/smooth.h"

namespace modelslim {

struct FlexSearchOptions {
  // Reference: an all-zero token makes every error NaN, and the search answers (0, 0): no smoothing at all. True leaves
  // such rows (of tokens and of weights) out of the errors instead.
  bool skip_zero_rows = false;
  // kExact: every product in the weights' type, as the reference. kInt8: int8 products, which give the same choice:
  // exact for f32; for half precision their small known uncertainty is settled by exact products where it matters.
  // Machines without the instructions (AVX-512 VNNI) fall back to kExact. kAuto: kInt8 for large problems.
  enum class Products { kAuto, kExact, kInt8 };
  Products products = Products::kAuto;
};

struct FlexSearchResult {
  double alpha = 0.0;
  double beta = 0.0;
  float error = 0.0f;                 // of the chosen pair, in the weights' type; +inf when no pair had a number
  std::vector<float> stage1, stage2;  // errors over the grid 0, 0.05, ..., 1 where computed, else NaN
};

// flex_smooth_quant: the pair (alpha, beta) whose scale a^alpha / w^beta hurts least under int8 per-token x int8
// per-row quantization, found first along beta = 1 - alpha, then over beta with that alpha. Ties go to the later value.
// act: [tokens, C], any model type; weights: [out, C] each, of one type, taken as one matrix of all their rows.
// Errors are computed in the weights' type, rounded after every step. Throws Error(kMisuse) on shapes that do not fit
// or when there are no tokens.
FlexSearchResult FlexSmoothSearch(const ConstView& act, std::span<const ConstView> weights,
                                  const FlexSearchOptions& options = {});

// The most that it holds for so many tokens, beside act and weights; `out`: rows of all weights together.
uint64_t FlexSmoothBytes(int64_t tokens, int64_t channels, int64_t out, DType dtype);

// What a trial of flex_awq_ssz does to its operands. Both are called from one thread and may use the compute pool.
struct TrialQuantizer {
  // Fake-quantized weight, f32, of a [out, C] weight.
  std::function<Tensor(const ConstView&)> weight;
  // Fake-quantized activations, f32, of [tokens, C]. Empty: activations stay as they are.
  std::function<Tensor(const ConstView&)> activation;
  ConstView bias;  // of the linear, or null data; enters the trial's output but not the reference's
};

struct AlphaSearchResult {
  double alpha = 0.0;
  float error = 0.0f;
  std::vector<float> errors;  // over the grid
};

// flex_awq_ssz: alpha of s = (max |act|)^alpha that hurts least under the recipe's own quantizers; ties go to the
// larger. act: [tokens, C]; weight: [out, C] (the caller concatenates: all targets of a norm if at most three, else the
// first two).
AlphaSearchResult FlexAwqSearch(const ConstView& act, const ConstView& weight, const TrialQuantizer& quantizer);

// The most that it holds, what the quantizers make included.
uint64_t FlexAwqBytes(int64_t tokens, int64_t channels, int64_t out, DType dtype);

// The fake quantization that the reference's "per-token" int8 activations really get there: one symmetric range per
// channel, over the tokens. x: [tokens, C]; the result is f32.
Tensor FakeQuantInt8PerChannelRange(const ConstView& x);

}  // namespace modelslim
