#include "model/families/qwen3_moe.h"

#include <algorithm>

#include "model/checkpoint_facts.h"
#include "model/families/decoder_family.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/layout_builder.h"
#include "model/parts/moe.h"
#include "model/parts/moe_config.h"
#include "model/rope_config.h"

namespace modelslim {
namespace {

struct Config {
  DecoderSizes sizes;
  MoeConfig moe;
  int64_t intermediate = 0;  // of dense layers
  LayerRopes ropes;
  Activation act = Activation::kSilu;
  bool attention_bias = false;
  bool tied = false;
  std::optional<AttentionWindow> window;
  DType dtype = DType::kBF16;
};

class Qwen3MoeFamily : public DecoderFamily {
 public:
  Qwen3MoeFamily(std::string_view adapter, const Config& config)
      : DecoderFamily(adapter, config.sizes), config_(config) {
    layout_.dtype = config.dtype;
    for (int64_t i = 0; i < sizes_.layers; ++i) layout_.blocks.push_back(MakeBlockInfo(i));
    layout_.rest = HeadModules({sizes_.vocab, sizes_.hidden, config.dtype, config.tied});
    layout_.ignored_suffixes = {".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"};
    layout_.window = config.window;
  }

  std::vector<Subgraph> Subgraphs(int block) const override {
    const std::string layer = LayerName(block);
    std::vector<Subgraph> groups;
    groups.push_back({SubgraphType::kNormLinear, layer + ".input_layernorm",
                      Join(layer + ".self_attn", {"k_proj", "q_proj", "v_proj"})});
    groups.push_back(ValueOutputGroup(layer + ".self_attn"));
    for (const std::string& mlp : Mlps(block))
      groups.push_back({SubgraphType::kUpDown, mlp + ".up_proj", {mlp + ".down_proj"}});
    return groups;
  }

  std::vector<KvSmoothUnit> KvSmoothUnits(int block) const override {
    return {KvUnit(LayerName(block) + ".self_attn", /*qk_norm=*/true)};
  }

  std::optional<RotationPlan> Rotations() const override {
    RotationPlan plan;
    plan.matrices = {{sizes_.hidden, false}, {sizes_.head_dim, true}};
    plan.pre_run = {{"model.embed_tokens", false, {{0}}}};
    for (int64_t i = 0; i < sizes_.layers; ++i) AddRotations(static_cast<int>(i), &plan);
    plan.fusions.push_back({{"model.norm"}, {"lm_head"}});
    plan.steps.push_back({"lm_head", false, {{0}}});
    return plan;
  }

  ExpertCount Experts(int block) const override { return config_.moe.Count(block); }
  int64_t MultiplyAddsPerToken(int block) const override { return config_.moe.MultiplyAdds(layout_.blocks.at(block)); }
  uint64_t ForwardBytes(int block, const ForwardForm& form) const override {
    const AttentionHeads heads{sizes_.heads, sizes_.kv_heads, sizes_.head_dim};
    const uint64_t mlp = config_.moe.IsSparse(block) ? SoftmaxMoeBytes(config_.moe, sizes_.hidden, form)
                                                     : GatedMlpBytes(sizes_.hidden, config_.intermediate, form);
    return DecoderLayerBytes(sizes_.hidden, SelfAttentionBytes(heads, sizes_.hidden, form), mlp, form);
  }

 private:
  Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const AttentionHeads heads{sizes_.heads, sizes_.kv_heads, sizes_.head_dim};
    const RopeConfig& rope = config_.ropes.of(block.info().index);
    return SelfAttention({heads, rope, layout_.dtype, /*qk_norm=*/true}, block, context, x);
  }
  Tensor GatedUnit(Block& block, const std::string& prefix, const ConstView& x, const RowGroups& groups,
                   Keep keep) const override {
    return GatedMlp(block, prefix, config_.act, x, groups, keep);
  }
  Tensor Mlp(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const auto unit = [&](const std::string& prefix, const ConstView& rows, const RowGroups& groups) {
      return GatedUnit(block, prefix, rows, groups, context.keep);
    };
    if (config_.moe.IsSparse(block.info().index)) return SoftmaxMoe(config_.moe, block, unit, x, context);
    return unit("mlp", x, context.groups);
  }

  BlockInfo MakeBlockInfo(int64_t index) const {
    BlockInfo info;
    info.name = LayerName(index);
    info.index = static_cast<int>(index);
    info.attention = {info.name + ".self_attn"};
    AddSelfAttention(&info.modules, info.attention.front(), sizes_, config_.dtype,
                     {config_.attention_bias, config_.attention_bias}, true);
    if (config_.moe.IsSparse(info.index)) {
      info.modules.push_back(LinearInfo(info.name + ".mlp.gate", config_.moe.experts, sizes_.hidden, config_.dtype));
    }
    const int64_t width = config_.moe.IsSparse(info.index) ? config_.moe.intermediate : config_.intermediate;
    for (const std::string& mlp : Mlps(info.index))
      AddGatedMlp(&info.modules, mlp, sizes_.hidden, width, config_.dtype);
    info.modules.push_back(NormInfo(info.name + ".input_layernorm", sizes_.hidden, config_.dtype));
    info.modules.push_back(NormInfo(info.name + ".post_attention_layernorm", sizes_.hidden, config_.dtype));
    return info;
  }

  // The gated units of a layer: its experts, or the one of a dense layer.
  std::vector<std::string> Mlps(int block) const { return config_.moe.Units(LayerName(block) + ".mlp", block); }

  void AddRotations(int block, RotationPlan* plan) const {
    const std::string layer = LayerName(block), attention = layer + ".self_attn";
    const std::vector<std::string> qkv = Join(attention, {"q_proj", "k_proj", "v_proj"});
    std::vector<std::string> readers;
    for (const std::string& mlp : Mlps(block)) readers.push_back(mlp + ".gate_proj");
    for (const std::string& mlp : Mlps(block)) readers.push_back(mlp + ".up_proj");
    if (config_.moe.IsSparse(block)) readers.push_back(layer + ".mlp.gate");
    plan->fusions.push_back({{layer + ".input_layernorm"}, qkv});
    plan->fusions.push_back({{layer + ".post_attention_layernorm"}, readers});
    plan->steps.push_back({attention + ".o_proj", true, {{0}}});
    for (const std::string& mlp : Mlps(block)) plan->steps.push_back({mlp + ".down_proj", true, {{0}}});
    for (const std::string& target : qkv) plan->steps.push_back({target, false, {{0}}});
    for (const std::string& target : readers) plan->steps.push_back({target, false, {{0}}});
    plan->steps.push_back({attention + ".v_proj", true, {{1}}});
    plan->steps.push_back({attention + ".o_proj", false, {{1}}});
  }

  Config config_;
};

}  // namespace

std::unique_ptr<Family> MakeQwen3Moe(std::string_view adapter, const Json& config, const Checkpoint& checkpoint) {
  const JsonRef ref(config, "config.json");
  Config made;
  made.sizes = ReadDecoderSizes(ref, 0);
  made.moe = ReadSoftmaxMoe(ref, MoeDefaults{.experts = 128, .top_k = 8, .intermediate = 768}, made.sizes.layers);
  made.intermediate = ReadSizeOr(ref, "intermediate_size", 6144);
  made.window = ReadWindow(ref, made.sizes.layers, {.default_size = 4096});
  RequireLayerTypes(ref, {"full_attention", "sliding_attention"});
  made.act = ReadActivation(ref);
  made.dtype = ReadModelDType(ref, checkpoint);
  made.ropes = ReadLayerRopes(ref, {.head_dim = made.sizes.head_dim}, made.sizes.layers);
  made.tied = ReadTied(ref, checkpoint);
  made.attention_bias = ref["attention_bias"].BoolOr(false);
  return std::make_unique<Qwen3MoeFamily>(adapter, made);
}

std::span<const KeptFloat> Qwen3MoeKeptFloat() {
  constexpr Verdict kLoss = {Outcome::kLoss, "tokens go to other experts"};
  static constexpr KeptFloat kRows[] = {
      {".mlp.gate",
       "routers",
       "a rounded router sends tokens to other experts, for a few kilobytes",
       {kLoss, kLoss, kLoss, kLoss}},
  };
  return kRows;
}

}  // namespace modelslim
