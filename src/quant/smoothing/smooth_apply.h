// Putting smoothing scales into parameters, so that the model computes the same function. In place; each product is
// computed in f32 and rounded once to the tensor's type; inv = 1 / s is rounded to the type of s first. Runs on the
// compute pool.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quant/module_params.h"
#include "quant/smoothing/smooth.h"

namespace modelslim {

Channels Reciprocal(const Channels& scale);
// W[:, c] *= s[c]; w: [out, C].
void ScaleColumns(const View& w, const Channels& scale);
// W[r, :] *= s[r]; w: [R, in], or a vector [R].
void ScaleRows(const View& w, const Channels& scale);

// Rows of a fused projection that are values, in the order of the value scale: [begin, end) each.
using RowRanges = std::vector<std::pair<int64_t, int64_t>>;
// [Q | K | V] rows, in_features = heads * d: V is [(H + K) d, (H + 2K) d). Throws Error(kMisuse) when `out_features`
// does not fit.
RowRanges FusedQkvValueRows(int64_t in_features, int64_t out_features, const HeadLayout& layout);
// MLA kv_b_proj, rows viewed [heads, nope + v]: the last v of every head.
RowRanges FusedKvValueRows(int64_t out_features, int64_t heads, int64_t nope_dim, int64_t v_dim);

struct SmoothApplyOptions {
  // False reproduces December 2025, which left the producer's bias alone and so changed models that have one.
  bool divide_producer_bias = true;
  // True reproduces 26.1.0, which divides a norm's bias twice when a shift is applied. Only matters for a bias that is
  // not 0.
  bool divide_shifted_norm_bias_twice = false;
};

// Shapes are checked before anything is changed; Error(kMisuse) names what does not fit.

// norm -> consumers. With `shift`, consumers gain the bias sum_c shift[c] W[o, c] (of the unscaled weight) and the
// norm's bias becomes beta / s - shift / s. The norm must have a bias then (create a zero one first). Returns, with a
// shift, one tensor per consumer: the bias it now needs and did not have (type of its weight), else empty.
std::vector<Tensor> ApplyNormLinear(const NormParams& norm, std::span<const LinearParams> consumers,
                                    const Channels& scale, const Channels* shift = nullptr,
                                    const SmoothApplyOptions& options = {});
// producer -> consumer, channel by channel: up_proj -> down_proj and linear1 -> linear2.
void ApplyLinearLinear(const LinearParams& producer, const LinearParams& consumer, const Channels& scale,
                       const SmoothApplyOptions& options = {});
// v_proj -> o_proj. `value_rows` picks the value rows of a fused projection; absent: all rows.
void ApplyOv(const LinearParams& value, const LinearParams& output, const OvScale& scale,
             const std::optional<RowRanges>& value_rows = std::nullopt, const SmoothApplyOptions& options = {});

}  // namespace modelslim
