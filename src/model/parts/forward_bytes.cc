#include "model/parts/forward_bytes.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/attention.h"

namespace modelslim {
namespace {

// Experts get very unequal numbers of tokens. The fullest one is taken to get so many times its even share.
constexpr int64_t kFullestExpert = 4;

ForwardForm OfFullestExpert(const ExpertSizes& sizes, const ForwardForm& form) {
  ForwardForm expert = form;
  const int64_t even = (form.rows * sizes.top_k + sizes.experts - 1) / std::max<int64_t>(sizes.experts, 1);
  expert.rows = std::min(form.rows, kFullestExpert * even);
  return expert;
}

// A copy that an input transform makes.
int64_t Rotated(const ForwardForm& form, int64_t width) { return form.rotates ? width : 0; }

}  // namespace

uint64_t DecoderLayerBytes(int64_t hidden, uint64_t attention, uint64_t mlp, const ForwardForm& form) {
  return std::max({form.bytes(hidden) + attention, form.bytes(2 * hidden) + mlp, form.bytes(4 * hidden)});
}

uint64_t SelfAttentionBytes(const AttentionHeads& sizes, int64_t hidden, const ForwardForm& form, bool gated) {
  const int64_t q = sizes.heads * sizes.dim, kv = sizes.kv_heads * sizes.dim;
  const AttentionShape shape{.heads = sizes.heads, .kv_heads = sizes.kv_heads, .dim = sizes.dim, .v_dim = sizes.dim};
  const uint64_t table = static_cast<uint64_t>(form.longest * sizes.dim) * sizeof(float) +
                         static_cast<uint64_t>(form.rows) * sizeof(int64_t);
  // As they came, and once more with the gate split off.
  const int64_t queries = gated ? 4 * q : q;
  const uint64_t project = form.bytes(hidden + Rotated(form, hidden) + (gated ? 2 : 1) * q + 2 * kv);
  const uint64_t attend = form.bytes(queries + q + 2 * kv) +
                          std::max<uint64_t>(AttentionScratch(shape, form.rows, form.longest, form.dtype, form.dtype),
                                             gated ? form.bytes(q) : 0);
  const uint64_t output = form.bytes(2 * q + Rotated(form, q) + hidden);
  return table + std::max({project, attend, output});
}

uint64_t GatedDeltaBytes(const GatedDeltaShape& shape, int64_t hidden, const ForwardForm& form) {
  const int64_t keys = shape.key_heads * shape.key_dim, values = shape.value_heads * shape.value_dim;
  const int64_t mixed = 2 * keys + values, heads = 6 * shape.value_heads;
  const uint64_t project = form.bytes(2 * keys + 2 * values + heads + std::max(hidden, mixed + values));
  const uint64_t convolve = form.bytes(2 * mixed + values + heads);
  const uint64_t scan = form.bytes(mixed + values + heads + 2 * values) + form.f32_bytes(2 * keys + 2 * values);
  return std::max({project, convolve, scan, form.bytes(2 * values + hidden)});
}

uint64_t GatedMlpBytes(int64_t hidden, int64_t intermediate, const ForwardForm& form, bool keeps_both) {
  const int64_t up = hidden + Rotated(form, hidden) + 2 * intermediate;
  const int64_t down = (keeps_both ? 4 : 2) * intermediate + Rotated(form, intermediate) + hidden;
  return form.bytes(std::max({up, 3 * intermediate, down}));
}

uint64_t ExpertsBytes(const ExpertSizes& sizes, int64_t hidden, const ForwardForm& form) {
  const ForwardForm expert = OfFullestExpert(sizes, form);
  const uint64_t choices = static_cast<uint64_t>(form.rows * sizes.top_k) * 24;
  const uint64_t router = form.bytes(sizes.experts + hidden) + form.f32_bytes(sizes.experts);
  const uint64_t sum = static_cast<uint64_t>(form.rows * hidden) * DTypeSize(Promote(sizes.sum_dtype, form.dtype));
  const uint64_t unit =
      expert.bytes(hidden) + std::max(GatedMlpBytes(hidden, sizes.intermediate, expert, sizes.keeps_both),
                                      expert.bytes(hidden) + expert.f32_bytes(hidden));
  return choices + std::max(router, sum + unit);
}

uint64_t LatentAttentionBytes(const MlaSizes& sizes, const ForwardForm& form, int64_t index) {
  const int64_t q = sizes.heads * sizes.qk(), v = sizes.heads * sizes.v, kv = sizes.heads * (sizes.nope + sizes.v);
  const int64_t latent = sizes.q_lora + 2 * (sizes.kv_lora + sizes.rope), absorbed = sizes.heads * sizes.kv_lora;
  const uint64_t table = static_cast<uint64_t>(form.longest * sizes.rope) * sizeof(float);
  const uint64_t project = form.bytes(std::max(sizes.hidden + Rotated(form, sizes.hidden), q) + latent + sizes.q_lora);
  const AttentionShape shape{.heads = sizes.heads, .kv_heads = sizes.heads, .dim = sizes.qk(), .v_dim = sizes.v};
  const AttentionShape one_head{
      .heads = sizes.heads, .kv_heads = 1, .dim = sizes.kv_lora + sizes.rope, .v_dim = sizes.kv_lora};
  const auto scratch = [&](const AttentionShape& of) -> uint64_t {
    if (index > 0) return AttentionScratch(of, form.longest, form.longest, form.dtype, form.dtype);
    if (form.dtype == DType::kF32) return AttentionScratch(of, form.rows, form.longest, form.dtype, form.dtype);
    // A head of a sample on each thread, and the scores of some of its rows.
    constexpr int64_t kQueries = 64;
    const auto head = static_cast<uint64_t>(form.longest * (2 * of.dim + of.v_dim)) * DTypeSize(form.dtype);
    const auto scores = static_cast<uint64_t>(kQueries * form.longest) * (sizeof(float) + DTypeSize(form.dtype));
    return static_cast<uint64_t>(ComputeThreads()) * (head + scores);
  };
  const uint64_t attend = form.absorbed
                              ? form.bytes(q + latent + absorbed) +
                                    form.f32_bytes(3 * absorbed + sizes.heads * sizes.rope) + scratch(one_head)
                              : form.bytes(q + latent + kv + q + 2 * v + index) + scratch(shape);
  return table + std::max({project, attend, form.bytes(2 * v + Rotated(form, v) + sizes.hidden)});
}

}  // namespace modelslim
