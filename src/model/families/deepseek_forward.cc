#include <algorithm>
#include <utility>

#include "kernels/gemm.h"
#include "model/families/deepseek.h"
#include "model/parts/forward_bytes.h"
#include "ops/columns.h"
#include "ops/embedding.h"

namespace modelslim {
namespace {

Routing Route(const DeepseekConfig& config, Block& block, const ConstView& x) {
  const ConstView weight = block.parameter("mlp.gate.weight").Get();
  Tensor logits(DType::kF32, {x.rows(), config.experts});
  // Products of bf16 numbers are exact in f32, so this is the f32 product of the widened matrices.
  Linear({x.data, x.dtype, {x.rows(), x.cols()}}, weight, {}, logits.view());
  Parameter* const bias = block.FindParameter(block.name() + ".mlp" + std::string(kRouterBias));
  return NoauxRouting(std::as_const(logits).view(), bias != nullptr ? bias->Get() : ConstView{}, config.routing);
}

}  // namespace

Tensor DeepseekExperts(const DeepseekConfig& config, Block& block, const UnitForward& unit, const ConstView& x,
                       const ForwardContext& context) {
  const Routing routing = Route(config, block, x);
  Tensor sum = Tensor::Zeros(DType::kF32, x.shape);
  ForwardExperts(block, routing, config.experts, x, context, unit, sum.view());
  return sum;
}

uint64_t DeepseekFamily::MlpBytes(int64_t layer, const ForwardForm& form) const {
  const bool keeps_both = traits_.indexer;
  if (!config_.IsSparse(layer)) return GatedMlpBytes(sizes_.hidden, config_.intermediate, form, keeps_both);
  const uint64_t routed = ExpertsBytes(
      {config_.experts, config_.routing.top_k, config_.moe_intermediate, DType::kF32, keeps_both}, sizes_.hidden, form);
  const uint64_t shared =
      GatedMlpBytes(sizes_.hidden, config_.moe_intermediate * config_.shared_experts, form, keeps_both);
  return std::max(routed, form.f32_bytes(sizes_.hidden) + form.bytes(sizes_.hidden) + shared);
}

uint64_t DeepseekFamily::MtpBytes(const ForwardForm& form, uint64_t layer) const {
  const auto logits = static_cast<uint64_t>(form.samples * sizes_.vocab) * sizeof(float);
  const uint64_t input = form.f32_bytes(6 * sizes_.hidden);  // its own modules may be f32
  return std::max({logits, input, form.f32_bytes(sizes_.hidden) + layer});
}

std::vector<int32_t> ShiftIds(std::span<const int32_t> ids, int32_t next) {
  std::vector<int32_t> shifted(ids.begin(), ids.end());
  const auto zero = std::find(shifted.begin(), shifted.end(), 0);
  if (!shifted.empty()) shifted.erase(zero != shifted.end() ? zero : shifted.begin());
  shifted.push_back(next);
  return shifted;
}

Tensor MtpInput(Block& block, const ForwardContext& context, std::span<const int32_t> next, const ConstView& hidden,
                bool bf16_ids) {
  Parameter& table = block.parameter("embed_tokens.weight");
  const auto largest = static_cast<int32_t>(table.shape().front() - 1);
  std::vector<int32_t> ids;
  for (int64_t s = 0; s < context.groups.samples(); ++s) {
    const int64_t begin = context.groups.offsets[s], count = context.groups.offsets[s + 1] - begin;
    const std::vector<int32_t> shifted =
        ShiftIds(context.ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)), next[s]);
    ids.insert(ids.end(), shifted.begin(), shifted.end());
    if (!bf16_ids) continue;
    for (auto id = ids.end() - count; id != ids.end() - 1; ++id) {
      *id = std::min(static_cast<int32_t>(RoundTo<BF16>(static_cast<float>(*id))), largest);
    }
  }
  const Tensor embedded = table.LookUp(ids);
  const Tensor e = block.norm("enorm").Forward(embedded.view());
  const Tensor h = block.norm("hnorm").Forward(hidden);
  Tensor both(Promote(e.dtype(), h.dtype()), {hidden.rows(), 2 * hidden.cols()});
  CopyColumns(e.view(), both.view(), {{0, 0, hidden.cols()}});
  CopyColumns(h.view(), both.view(), {{0, hidden.cols(), hidden.cols()}});
  // It runs before its block is handed to the processors, so nothing observes or quantizes it here.
  Tensor projected = block.linear("eh_proj").FloatForward(std::as_const(both).view(), context.keep);
  block.linear("eh_proj").Release(context.keep);
  table.Release();
  return projected;
}

std::vector<int32_t> ArgMaxRows(const ConstView& logits) {
  std::vector<int32_t> best(static_cast<size_t>(logits.rows()), 0);
  for (int64_t r = 0; r < logits.rows(); ++r) {
    float largest = ElementAsF32(logits, r * logits.cols());
    for (int64_t c = 1; c < logits.cols(); ++c) {
      const float value = ElementAsF32(logits, r * logits.cols() + c);
      if (value <= largest) continue;
      largest = value;
      best[r] = static_cast<int32_t>(c);
    }
  }
  return best;
}

std::vector<int64_t> LastRows(const RowGroups& groups) {
  std::vector<int64_t> rows;
  for (int64_t s = 0; s < groups.samples(); ++s) {
    if (groups.offsets[s + 1] == groups.offsets[s]) {
      throw Error(ErrorCode::kInvalidDataset, "calibration sample " + std::to_string(groups.first_sample + s) +
                                                  ": expected at least one token, found none");
    }
    rows.push_back(groups.offsets[s + 1] - 1);
  }
  return rows;
}

std::vector<int32_t> PredictNext(const ForwardContext& context, const ConstView& hidden) {
  MODELSLIM_CHECK(context.rest != nullptr);
  const std::vector<int64_t> rows = LastRows(context.groups);
  Tensor last(hidden.dtype, {static_cast<int64_t>(rows.size()), hidden.cols()});
  GatherRows(hidden, rows, last.view());
  const Tensor normed = context.rest->norm("model.norm").Forward(std::as_const(last).view());
  LinearModule& head = context.rest->linear("lm_head");
  const Tensor logits = head.FloatForward(normed.view(), Keep::kValues);
  head.Release();
  return ArgMaxRows(logits.view());
}

}  // namespace modelslim
