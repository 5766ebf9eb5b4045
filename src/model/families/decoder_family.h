// What all decoder-only language models share: embedding, blocks named model.layers.N, final norm, head.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/config_reader.h"
#include "model/family.h"
#include "ops/rope.h"

namespace modelslim {

class DecoderFamily : public Family {
 public:
  std::string_view name() const override { return adapter_; }
  int64_t HiddenWidth() const override { return sizes_.hidden; }
  int64_t vocab_size() const override { return sizes_.vocab; }

  // The layer of a pre-norm decoder: x + Attention(input_layernorm(x)), then x + Mlp(post_attention_layernorm(x)).
  Tensor Forward(Block& block, const ForwardContext& context, const ConstView& hidden) const override;
  std::vector<std::string> Parts(int block) const override;  // self_attn and mlp; ForwardPart takes experts too
  Tensor ForwardPart(Block& block, const ForwardContext& context, std::string_view part,
                     const ConstView& x) const override;

 protected:
  DecoderFamily(std::string_view adapter, const DecoderSizes& sizes) : adapter_(adapter), sizes_(sizes) {}

  // The two branches of a layer: [rows, hidden] after its norm -> what is added to the residual.
  virtual Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const = 0;
  virtual Tensor Mlp(Block& block, const ForwardContext& context, const ConstView& x) const = 0;
  // A gated unit of the mlp (itself, an expert, a shared expert) by its name inside the block.
  virtual Tensor GatedUnit(Block& block, const std::string& prefix, const ConstView& x, const RowGroups& groups,
                           Keep keep) const = 0;

  double NormEps(const ModuleInfo&) const override { return sizes_.eps; }
  // v_proj feeds o_proj; query heads that share a value head are reduced by max.
  Subgraph ValueOutputGroup(const std::string& attention) const;
  // Keys and values of one layer, for kv_smooth: folded into the norms where there are some, else into the projections.
  KvSmoothUnit KvUnit(const std::string& attention, bool qk_norm) const;

  std::string_view adapter_;
  DecoderSizes sizes_;
};

// x + branch, Promote(x, branch): the residual stream.
Tensor AddResidual(const ConstView& x, const ConstView& branch);

// down( act(gate(x)) * up(x) ) of the three linears below `prefix` (a name inside the block: "mlp", "mlp.experts.4").
Tensor GatedMlp(Block& block, const std::string& prefix, Activation act, const ConstView& x, const RowGroups& groups,
                Keep keep);

struct AttentionHeads {
  int64_t heads = 0, kv_heads = 0, dim = 0;
};

// Grouped-query attention with rotary embedding, between the projections: rotates q and k in place (the first
// `table.dim()` elements of every head), shows keys and values to the observer, attends. q [rows, heads * dim] ...;
// result [rows, heads * v_dim] of type Promote(q, v).
Tensor RotaryAttention(const AttentionHeads& sizes, const RopeTable& table, const std::string& name,
                       const ForwardContext& context, Tensor* q, Tensor* k, const ConstView& v);

// The attention of Llama, Qwen2 and (with `qk_norm`) Qwen3, from q_proj, k_proj and v_proj to o_proj below "self_attn".
struct SelfAttentionOptions {
  AttentionHeads sizes;
  RopeConfig rope;
  DType rope_dtype = DType::kBF16;  // cos and sin are rounded to the model's dtype
  bool qk_norm = false;
};
Tensor SelfAttention(const SelfAttentionOptions& options, Block& block, const ForwardContext& context,
                     const ConstView& x);

// The rows of a layout for it, below `prefix` = "model.layers.3.self_attn", in the order of the module tree.
struct SelfAttentionBiases {
  bool qkv = false, output = false;
};
void AddSelfAttention(std::vector<ModuleInfo>* modules, const std::string& prefix, const DecoderSizes& sizes,
                      DType dtype, const SelfAttentionBiases& biases, bool qk_norm);

}  // namespace modelslim
