#include "model/families/deepseek_v3.h"

#include <algorithm>
#include <utility>

#include "io/json_ref.h"
#include "model/families/deepseek.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/layout_builder.h"
#include "model/parts/mla_absorbed.h"
#include "ops/attention/eager_attention.h"
#include "ops/columns.h"

namespace modelslim {
namespace {

// Positions 1 ... T-1, 0 for every sample.
std::vector<int64_t> RolledPositions(const RowGroups& groups) {
  std::vector<int64_t> positions;
  for (int64_t s = 0; s < groups.samples(); ++s) {
    const int64_t count = groups.offsets[s + 1] - groups.offsets[s];
    for (int64_t t = 0; t < count; ++t) positions.push_back((t + 1) % count);
  }
  return positions;
}

class DeepseekV3Family : public DeepseekFamily {
 public:
  DeepseekV3Family(std::string_view adapter, const DeepseekConfig& config, const Checkpoint& checkpoint)
      : DeepseekFamily(adapter, config, Traits(config), checkpoint) {
    scale_ = MlaScale(config.mla, config.rope.type == RopeType::kDefault ? 0 : config.rope.mscale_all_dim.value_or(0),
                      config.rope.factor);
  }

  Tensor Forward(Block& block, const ForwardContext& context, const ConstView& hidden) const override {
    if (!config_.IsMtp(block.info().index)) return DecoderFamily::Forward(block, context, hidden);
    const Tensor input = MtpInput(block, context, PredictNext(context, hidden), hidden);
    return DecoderFamily::Forward(block, context, input.view());
  }

  std::vector<std::pair<std::string, std::string>> ConfigEdits(const std::vector<std::string_view>& modes,
                                                               bool fa_quantized) const override {
    if (std::find(modes.begin(), modes.end(), "W4A8_DYNAMIC") == modes.end()) return {};
    std::vector<std::pair<std::string, std::string>> edits;
    if (config_.announces_mtp) edits.emplace_back("mtp_quantize", "\"w8a8_dynamic\"");
    edits.emplace_back("quantize", "\"w8a8_dynamic\"");
    edits.emplace_back("moe_quantize", "\"w4a8_dynamic\"");
    edits.emplace_back("mla_quantize", fa_quantized ? "\"w8a8\"" : "\"w8a8_dynamic\"");
    return edits;
  }

  std::vector<FaAttention> FaAttentions(int block) const override {
    return {{LayerName(block) + ".self_attn", config_.mla.heads}};
  }

  std::vector<std::string> Parts(int block) const override { return {LayerName(block) + ".self_attn"}; }

  uint64_t ForwardBytes(int block, const ForwardForm& form) const override {
    ForwardForm own = form;
    if (config_.IsMtp(block)) own.dtype = DType::kF32;  // what enters the layer is a product with its f32 norms
    const uint64_t layer =
        DecoderLayerBytes(sizes_.hidden, LatentAttentionBytes(config_.mla, own), MlpBytes(block, own), own);
    return config_.IsMtp(block) ? MtpBytes(form, layer) : layer;
  }

 private:
  static DeepseekTraits Traits(const DeepseekConfig& config) {
    DeepseekTraits traits;
    traits.norm_dtype = traits.bias_dtype = traits.head_dtype = config.dtype;
    // 26.1.0 builds these modules in f32, and so they are written.
    traits.extra_dtype = DType::kF32;
    return traits;
  }

  Tensor GatedUnit(Block& block, const std::string& prefix, const ConstView& x, const RowGroups& groups,
                   Keep keep) const override {
    return GatedMlp(block, prefix, config_.act, x, groups, keep);
  }
  Tensor Mlp(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const auto unit = [&](const std::string& prefix, const ConstView& rows, const RowGroups& groups) {
      return GatedUnit(block, prefix, rows, groups, context.keep);
    };
    if (!config_.IsSparse(block.info().index)) return unit("mlp", x, context.groups);
    const Tensor routed = ConvertTo(DeepseekExperts(config_, block, unit, x, context).view(), x.dtype);
    if (config_.shared_experts == 0) return Tensor::Copy(routed.view());
    const Tensor shared = unit("mlp.shared_experts", x, context.groups);
    return AddResidual(routed.view(), shared.view());
  }

  // Queries [rows, heads * qk], not yet rotated, and the latents [rows, kv_lora + rope].
  std::pair<Tensor, Tensor> Project(Block& block, const ForwardContext& context, const ConstView& x) const {
    const bool low_rank = config_.mla.q_lora > 0;
    LinearModule* const inputs[] = {&block.linear(low_rank ? "self_attn.q_a_proj" : "self_attn.q_proj"),
                                    &block.linear("self_attn.kv_a_proj_with_mqa")};
    std::vector<Tensor> both = ForwardLinears(inputs, x, context.groups, context.keep);
    if (!low_rank) return {std::move(both[0]), std::move(both[1])};
    const Tensor latent = block.norm("self_attn.q_a_layernorm").Forward(std::as_const(both[0]).view());
    Tensor q = ForwardLinear(block.linear("self_attn.q_b_proj"), latent.view(), context.groups, context.keep);
    return {std::move(q), std::move(both[1])};
  }

  RopeTable MakeTable(const Block& block, const RowGroups& groups, DType dtype) const {
    if (!config_.IsMtp(block.info().index)) return RopeTable(config_.rope, groups.offsets, dtype);
    return RopeTable(config_.rope, groups.offsets, RolledPositions(groups), dtype);
  }

  Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const MlaSizes& mla = config_.mla;
    Tensor attended;
    {
      auto [q, latents] = Project(block, context, x);
      const Tensor c = block.norm("self_attn.kv_a_layernorm")
                           .Forward(TakeColumns(std::as_const(latents).view(), 0, mla.kv_lora).view());
      Tensor k_pe = TakeColumns(std::as_const(latents).view(), mla.kv_lora, mla.rope);
      // cos and sin have the type of the values.
      const DType dtype = Promote(c.dtype(), block.linear("self_attn.kv_b_proj").weight().dtype());
      const RopeTable table = MakeTable(block, context.groups, dtype);
      ApplyRope(q.view(), table, MlaQueryRope(mla, RopeLayout::kInterleavedToHalf));
      ApplyRope(k_pe.view(), table, {.heads = 1, .layout = RopeLayout::kInterleavedToHalf});
      FaHook* const hook = block.fa_hook(block.name() + ".self_attn").get();
      if (hook != nullptr) {
        const AbsorbedInputs inputs{block.linear("self_attn.kv_b_proj").weight().Get(), std::as_const(q).view(),
                                    c.view(), std::as_const(k_pe).view(), block.name() + ".self_attn"};
        attended = AbsorbedAttention(mla, scale_, inputs, *hook, context.groups);
      } else {
        attended = Attend(block, context, std::as_const(q).view(), c.view(), std::as_const(k_pe).view());
      }
    }
    return ForwardLinear(block.linear("self_attn.o_proj"), std::as_const(attended).view(), context.groups,
                         context.keep);
  }

  // The form in which the model is written: keys and values of all heads from the latents. q and k_pe come rotated.
  Tensor Attend(Block& block, const ForwardContext& context, const ConstView& q, const ConstView& c,
                const ConstView& k_pe) const {
    const MlaSizes& mla = config_.mla;
    const Tensor kv = ForwardLinear(block.linear("self_attn.kv_b_proj"), c, context.groups, context.keep);
    const KeysAndValues states = AssembleKeys(mla, kv.view(), k_pe);
    ObserveKeysAndValues(context, block.name() + ".self_attn", states.keys.view(), states.values.view());
    Tensor attended(Promote(q.dtype, states.values.dtype()), {q.rows(), mla.heads * mla.v});
    const AttentionShape shape{
        .heads = mla.heads, .kv_heads = mla.heads, .dim = mla.qk(), .v_dim = mla.v, .scale = scale_};
    EagerAttention(shape, q, states.keys.view(), states.values.view(), context.groups.offsets, attended.view());
    return attended;
  }

  float scale_ = 1;
};

}  // namespace

std::unique_ptr<Family> MakeDeepseekV3(std::string_view adapter, const Json& config, const Checkpoint& checkpoint) {
  DeepseekConfig made = ReadDeepseek(config, checkpoint);
  made.announces_mtp = JsonRef(config, "config.json")["model_type"].StringOr("") != "kimi_k2";
  made.routing.epsilon = 1e-20f;
  // A single expert's weight is not divided by itself.
  made.routing.renormalize = made.routing.renormalize && made.routing.top_k > 1;
  return std::make_unique<DeepseekV3Family>(adapter, made, checkpoint);
}

std::span<const KeptFloat> DeepseekV3KeptFloat() {
  static const std::vector<KeptFloat> rows = DeepseekKeptFloat();
  return rows;
}

}  // namespace modelslim
