#include "model/parts/moe_config.h"

#include <algorithm>
#include <utility>

#include "model/families/decoder_family.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/moe.h"

namespace modelslim {
namespace {

// Adds sigmoid(shared_expert_gate(x)) * shared_expert(x) to y, each operation rounded to the activations' type.
Tensor AddSharedExpert(Block& block, const UnitForward& unit, const ConstView& x, const ForwardContext& context,
                       Tensor y) {
  Tensor shared = unit("mlp.shared_expert", x, context.groups);
  Tensor gate = ForwardLinear(block.linear("mlp.shared_expert_gate"), x, context.groups, context.keep);
  Sigmoid(std::as_const(gate).view(), gate.view());
  const DType type = Promote(shared.dtype(), gate.dtype());
  if (shared.dtype() != type) shared = ConvertTo(std::as_const(shared).view(), type);
  const ConstView column{std::as_const(gate).view().data, gate.dtype(), {gate.shape().front()}};
  ScaleRows(shared.view(), column);
  return AddResidual(std::as_const(y).view(), std::as_const(shared).view());
}

}  // namespace

bool MoeConfig::IsSparse(int64_t layer) const {
  const bool dense = std::find(dense_layers.begin(), dense_layers.end(), layer) != dense_layers.end();
  return !dense && experts > 0 && (layer + 1) % sparse_step == 0;
}

Family::ExpertCount MoeConfig::Count(int64_t layer) const {
  return IsSparse(layer) ? Family::ExpertCount{experts, top_k} : Family::ExpertCount{};
}

std::vector<std::string> MoeConfig::Units(const std::string& mlp, int64_t layer) const {
  if (!IsSparse(layer)) return {mlp};
  std::vector<std::string> names;
  for (int64_t e = 0; e < experts; ++e) names.push_back(mlp + ".experts." + std::to_string(e));
  return names;
}

int64_t MoeConfig::MultiplyAdds(const BlockInfo& block) const {
  int64_t always = 0, routed = 0;
  for (const ModuleInfo& module : block.modules) {
    if (module.kind != ModuleKind::kLinear) continue;
    const bool expert = module.name.find(".experts.") != std::string::npos;
    (expert ? routed : always) += module.out_features() * module.in_features();
  }
  return always + (experts > 0 ? routed / experts * top_k : 0);
}

MoeConfig ReadSoftmaxMoe(const JsonRef& config, const MoeDefaults& defaults, int64_t layers) {
  MoeConfig moe;
  const JsonRef count = FirstOf(config, {"num_experts", "num_local_experts"});
  moe.experts = count ? count.AsInt(0, 65536) : defaults.experts;
  CheckExpertCount(count, layers, moe.experts);
  moe.top_k = config["num_experts_per_tok"].IntOr(defaults.top_k);
  if (moe.experts > 0 && (moe.top_k < 1 || moe.top_k > moe.experts)) {
    config["num_experts_per_tok"].Fail("an integer from 1 to the number of experts (" + std::to_string(moe.experts) +
                                       ")");
  }
  moe.intermediate = ReadSizeOr(config, "moe_intermediate_size", defaults.intermediate);
  moe.renormalize = config["norm_topk_prob"].BoolOr(defaults.renormalize);
  moe.sparse_step = ReadSizeOr(config, "decoder_sparse_step", 1);
  if (config["mlp_only_layers"]) moe.dense_layers = config["mlp_only_layers"].AsInts();
  if (defaults.shared_intermediate > 0) {
    moe.shared_intermediate = ReadSizeOr(config, "shared_expert_intermediate_size", defaults.shared_intermediate);
  }
  return moe;
}

Tensor SoftmaxMoe(const MoeConfig& moe, Block& block, const UnitForward& unit, const ConstView& x,
                  const ForwardContext& context) {
  Routing routing;
  {
    const Tensor logits = ForwardLinear(block.linear("mlp.gate"), x, context.groups, context.keep);
    routing = SoftmaxRouting(logits.view(), moe.top_k, moe.renormalize, x.dtype);
  }
  Tensor y = Tensor::Zeros(x.dtype, x.shape);
  ForwardExperts(block, routing, moe.experts, x, context, unit, y.view());
  return moe.shared_intermediate > 0 ? AddSharedExpert(block, unit, x, context, std::move(y)) : std::move(y);
}

uint64_t SoftmaxMoeBytes(const MoeConfig& moe, int64_t hidden, const ForwardForm& form) {
  const uint64_t routed = ExpertsBytes({moe.experts, moe.top_k, moe.intermediate, form.dtype}, hidden, form);
  if (moe.shared_intermediate == 0) return routed;
  const uint64_t shared = std::max(GatedMlpBytes(hidden, moe.shared_intermediate, form), form.bytes(2 * hidden));
  return std::max(routed, form.bytes(hidden) + shared);
}

void CheckExpertCount(const JsonRef& count, int64_t layers, int64_t experts) {
  constexpr int64_t kMost = 2'000'000;
  if (layers * experts > kMost) {
    count.Fail("at most " + std::to_string(kMost) + " experts in all layers together, not " +
               std::to_string(layers * experts));
  }
}

}  // namespace modelslim
