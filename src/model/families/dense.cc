#include "model/families/dense.h"

#include "model/checkpoint_facts.h"
#include "model/families/decoder_family.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/layout_builder.h"
#include "model/rope_config.h"

namespace modelslim {
namespace {

// What differs among the dense architectures.
struct DenseConfig {
  DecoderSizes sizes;
  int64_t intermediate = 0;
  LayerRopes ropes;
  Activation act = Activation::kSilu;
  SelfAttentionBiases attention_bias;
  bool mlp_bias = false;
  bool qk_norm = false;
  bool tied = false;
  std::optional<AttentionWindow> window;
  DType dtype = DType::kBF16;
};

class DenseFamily : public DecoderFamily {
 public:
  DenseFamily(std::string_view adapter, const DenseConfig& config)
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
    groups.push_back({SubgraphType::kNormLinear, layer + ".post_attention_layernorm",
                      Join(layer + ".mlp", {"gate_proj", "up_proj"})});
    // QwQ has no such group in 26.1.0.
    if (!IsQwq()) groups.push_back(ValueOutputGroup(layer + ".self_attn"));
    groups.push_back({SubgraphType::kUpDown, layer + ".mlp.up_proj", {layer + ".mlp.down_proj"}});
    return groups;
  }

  std::vector<KvSmoothUnit> KvSmoothUnits(int block) const override {
    return {KvUnit(LayerName(block) + ".self_attn", config_.qk_norm)};
  }

  std::optional<RotationPlan> Rotations() const override {
    RotationPlan plan;
    plan.matrices = {{sizes_.hidden, false}, {sizes_.head_dim, IsQwq()}};
    plan.pre_run = {{"model.embed_tokens", false, {{0}}}};
    for (int64_t i = 0; i < sizes_.layers; ++i) AddRotations(LayerName(i), &plan);
    plan.fusions.push_back({{"model.norm"}, {"lm_head"}});
    plan.steps.push_back({"lm_head", false, {{0}}});
    return plan;
  }

  std::vector<OnlineRotationUnit> OnlineRotations(int block) const override {
    const std::string layer = LayerName(block);
    return {
        {layer + ".self_attn.o_proj", layer + ".mlp.down_proj", sizes_.heads, sizes_.head_dim, config_.intermediate}};
  }

  uint64_t ForwardBytes(int, const ForwardForm& form) const override {
    return DecoderLayerBytes(sizes_.hidden, SelfAttentionBytes(Heads(), sizes_.hidden, form),
                             GatedMlpBytes(sizes_.hidden, config_.intermediate, form), form);
  }

 private:
  AttentionHeads Heads() const { return {sizes_.heads, sizes_.kv_heads, sizes_.head_dim}; }
  Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const RopeConfig& rope = config_.ropes.of(block.info().index);
    return SelfAttention({Heads(), rope, layout_.dtype, config_.qk_norm}, block, context, x);
  }
  Tensor GatedUnit(Block& block, const std::string& prefix, const ConstView& x, const RowGroups& groups,
                   Keep keep) const override {
    return GatedMlp(block, prefix, config_.act, x, groups, keep);
  }
  Tensor Mlp(Block& block, const ForwardContext& context, const ConstView& x) const override {
    return GatedUnit(block, "mlp", x, context.groups, context.keep);
  }
  bool IsQwq() const { return adapter_ == "qwq"; }

  BlockInfo MakeBlockInfo(int64_t index) const {
    BlockInfo info;
    info.name = LayerName(index);
    info.index = static_cast<int>(index);
    info.attention = {info.name + ".self_attn"};
    AddSelfAttention(&info.modules, info.attention.front(), sizes_, config_.dtype, config_.attention_bias,
                     config_.qk_norm);
    AddGatedMlp(&info.modules, info.name + ".mlp", sizes_.hidden, config_.intermediate, config_.dtype,
                config_.mlp_bias);
    info.modules.push_back(NormInfo(info.name + ".input_layernorm", sizes_.hidden, config_.dtype));
    info.modules.push_back(NormInfo(info.name + ".post_attention_layernorm", sizes_.hidden, config_.dtype));
    return info;
  }

  static void AddRotations(const std::string& layer, RotationPlan* plan) {
    const std::string attention = layer + ".self_attn", mlp = layer + ".mlp";
    plan->fusions.push_back({{layer + ".input_layernorm"}, Join(attention, {"q_proj", "k_proj", "v_proj"})});
    plan->fusions.push_back({{layer + ".post_attention_layernorm"}, Join(mlp, {"gate_proj", "up_proj"})});
    for (const std::string& target : {attention + ".o_proj", mlp + ".down_proj"}) {
      plan->steps.push_back({target, true, {{0}}});
    }
    for (const std::string& target : Join(attention, {"q_proj", "k_proj", "v_proj"}))
      plan->steps.push_back({target, false, {{0}}});
    for (const std::string& target : Join(mlp, {"gate_proj", "up_proj"})) plan->steps.push_back({target, false, {{0}}});
    plan->steps.push_back({attention + ".v_proj", true, {{1}}});
    plan->steps.push_back({attention + ".o_proj", false, {{1}}});
  }

  DenseConfig config_;
};

// Keys of architectures that look like Llama but compute something else.
void RefuseVariants(const JsonRef& config) {
  RefuseKeys(config, {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling",
                      "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "scale_emb",
                      "scale_depth", "dim_model_base", "clip_qkv", "logit_scale", "num_local_experts", "num_experts",
                      "n_routed_experts", "use_qk_norm", "no_rope_layers", "use_bidirectional_attention"});
  if (config["is_causal"] && config["is_causal"].value()->boolean() == false) RefuseKey(config["is_causal"]);
}

// Llama knows no window of its own; Mistral's is meant for every layer.
WindowRules WindowRulesOf(const std::string& type) {
  if (type == "llama") return {};
  if (type == "qwen2" || type == "qwen3") return {.default_size = 4096, .first_layer_key = "max_window_layers"};
  return {.always = true, .default_size = 4096};
}

// What model_type of config.json says of biases and norms.
void ReadArchitecture(const JsonRef& config, DenseConfig* dense) {
  const std::string type = config["model_type"].StringOr("");
  const bool attention_bias = config["attention_bias"].BoolOr(false);
  dense->attention_bias = {attention_bias, attention_bias};
  dense->mlp_bias = config["mlp_bias"].BoolOr(false);
  if (type == "qwen2") {
    dense->attention_bias = {true, false};
    dense->mlp_bias = false;
  } else if (type == "qwen3") {
    dense->qk_norm = true;
    dense->mlp_bias = false;
  }
}

}  // namespace

std::unique_ptr<Family> MakeDense(std::string_view adapter, const Json& config, const Checkpoint& checkpoint) {
  const JsonRef ref(config, "config.json");
  const std::string type = ref["model_type"].StringOr("");
  DenseConfig dense;
  dense.sizes = ReadDecoderSizes(ref, type == "qwen3" ? 128 : 0);
  dense.intermediate = ReadSize(ref, "intermediate_size");
  dense.window = ReadWindow(ref, dense.sizes.layers, WindowRulesOf(type));
  RequireLayerTypes(ref, {"full_attention", "sliding_attention"});
  RefuseVariants(ref);
  dense.act = ReadActivation(ref);
  dense.dtype = ReadModelDType(ref, checkpoint);
  dense.ropes = ReadLayerRopes(ref, {.head_dim = dense.sizes.head_dim}, dense.sizes.layers);
  dense.tied = ReadTied(ref, checkpoint);
  ReadArchitecture(ref, &dense);
  return std::make_unique<DenseFamily>(adapter, dense);
}

}  // namespace modelslim
