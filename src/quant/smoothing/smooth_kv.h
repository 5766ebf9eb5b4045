// kv_smooth: makes rotary keys easier to quantize by moving their magnitude into the queries.
#pragma once

#include "quant/module_params.h"
#include "quant/smoothing/smooth.h"

namespace modelslim {

struct KvSmoothOptions {
  float smooth_factor = 1.0f;  // > 0; the scale is p^factor
  // The reference divides by zero for a pair of channels that was zero in every key. Any p below this becomes 1
  // instead; 0 keeps the reference's behaviour.
  float min_magnitude = 1e-30f;
};

// key_absmax: max |k| per (kv head, channel) after the rotary embedding, kv_heads * d values, d even. Channels j and
// j + d/2 rotate together and share p, the larger of the two.
//
// Linear kind: one scale per (kv head, channel). Rows and bias of k_proj are divided by it, those of q_proj multiplied
// by the scale of the key head that their head reads.
Channels KvSmoothScale(const Channels& key_absmax, const HeadLayout& layout, const KvSmoothOptions& options = {});
void ApplyKvSmoothLinear(const LinearParams& query, const LinearParams& key, const Channels& scale,
                         const HeadLayout& layout);
// Norm kind: the maximum over heads first, so d values; k_norm's weight is divided, q_norm's multiplied.
Channels KvSmoothNormScale(const Channels& key_absmax, int64_t kv_heads, const KvSmoothOptions& options = {});
void ApplyKvSmoothNorm(const View& query_norm, const View& key_norm, const Channels& scale);

}  // namespace modelslim
