// How many bytes of intermediates the parts of a forward hold at the moment when there are most, their input aside,
// which belongs to the caller. Follows the code of the parts: a tensor more there is a term more here.
#pragma once

#include <cstdint>

#include "model/families/decoder_family.h"
#include "model/parts/mla.h"
#include "ops/attention/gated_delta.h"

namespace modelslim {

// The layer of DecoderFamily::Forward() around an attention and an mlp that take so much.
uint64_t DecoderLayerBytes(int64_t hidden, uint64_t attention, uint64_t mlp, const ForwardForm& form);

// SelfAttention(); with `gated` the queries are twice as wide, as in Qwen3-Next.
uint64_t SelfAttentionBytes(const AttentionHeads& sizes, int64_t hidden, const ForwardForm& form, bool gated = false);
// GatedDeltaNet().
uint64_t GatedDeltaBytes(const GatedDeltaShape& shape, int64_t hidden, const ForwardForm& form);

// GatedMlp() of an intermediate width; `keeps_both`: gate and up live until the end.
uint64_t GatedMlpBytes(int64_t hidden, int64_t intermediate, const ForwardForm& form, bool keeps_both = false);

// Router and routed experts, what they are summed into included.
struct ExpertSizes {
  int64_t experts = 0, top_k = 0, intermediate = 0;
  DType sum_dtype = DType::kBF16;
  bool keeps_both = false;  // see GatedMlpBytes
};
uint64_t ExpertsBytes(const ExpertSizes& sizes, int64_t hidden, const ForwardForm& form);

// Queries, keys and values of a latent attention from their projections to the attended values. With `index` elements
// beside them for an indexer samples are attended to one by one, else by EagerAttention().
uint64_t LatentAttentionBytes(const MlaSizes& sizes, const ForwardForm& form, int64_t index = 0);

}  // namespace modelslim
