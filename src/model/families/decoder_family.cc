#include "model/families/decoder_family.h"

#include <cmath>
#include <utility>

#include "kernels/attention.h"
#include "model/parts/layout_builder.h"

namespace modelslim {

Tensor DecoderFamily::Forward(Block& block, const ForwardContext& context, const ConstView& hidden) const {
  Tensor middle;
  {
    const Tensor normed = block.norm("input_layernorm").Forward(hidden);
    const Tensor attended = Attention(block, context, normed.view());
    middle = AddResidual(hidden, attended.view());
  }
  const ConstView residual = std::as_const(middle).view();
  const Tensor normed = block.norm("post_attention_layernorm").Forward(residual);
  const Tensor mlp = Mlp(block, context, normed.view());
  return AddResidual(residual, mlp.view());
}

std::vector<std::string> DecoderFamily::Parts(int block) const { return Join(LayerName(block), {"self_attn", "mlp"}); }

Tensor DecoderFamily::ForwardPart(Block& block, const ForwardContext& context, std::string_view part,
                                  const ConstView& x) const {
  if (part == block.name() + ".self_attn") return Attention(block, context, x);
  const std::string mlp = block.name() + ".mlp";
  if (part == mlp) return Mlp(block, context, x);
  MODELSLIM_CHECK(part.starts_with(mlp + ".experts."));
  return GatedUnit(block, std::string(part.substr(block.name().size() + 1)), x, context.groups, context.keep);
}

Tensor AddResidual(const ConstView& x, const ConstView& branch) {
  Tensor sum(Promote(x.dtype, branch.dtype), x.shape);
  Add(x, branch, sum.view());
  return sum;
}

Tensor GatedMlp(Block& block, const std::string& prefix, Activation act, const ConstView& x, const RowGroups& groups,
                Keep keep) {
  Tensor product;
  {
    LinearModule* const inputs[] = {&block.linear(prefix + ".gate_proj"), &block.linear(prefix + ".up_proj")};
    const std::vector<Tensor> both = ForwardLinears(inputs, x, groups, keep);
    product = Tensor(Promote(both[0].dtype(), both[1].dtype()), both[0].shape());
    ActivateMul(act, both[0].view(), both[1].view(), product.view());
  }
  return ForwardLinear(block.linear(prefix + ".down_proj"), std::as_const(product).view(), groups, keep);
}

Tensor RotaryAttention(const AttentionHeads& sizes, const RopeTable& table, const std::string& name,
                       const ForwardContext& context, Tensor* q, Tensor* k, const ConstView& v) {
  ApplyRope(q->view(), table, RopeOptions{.heads = sizes.heads});
  ApplyRope(k->view(), table, RopeOptions{.heads = sizes.kv_heads});
  ObserveKeysAndValues(context, name, std::as_const(*k).view(), v);
  const int64_t v_dim = v.cols() / sizes.kv_heads;
  Tensor out(Promote(q->dtype(), v.dtype), {q->shape().front(), sizes.heads * v_dim});
  const AttentionShape shape{.heads = sizes.heads,
                             .kv_heads = sizes.kv_heads,
                             .dim = sizes.dim,
                             .v_dim = v_dim,
                             .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(sizes.dim)))};
  CausalAttention(shape, std::as_const(*q).view(), std::as_const(*k).view(), v, context.groups.offsets, out.view());
  return out;
}

Tensor SelfAttention(const SelfAttentionOptions& options, Block& block, const ForwardContext& context,
                     const ConstView& x) {
  const RopeTable table(options.rope, context.groups.offsets, options.rope_dtype);
  Tensor attended;
  {
    LinearModule* const inputs[] = {&block.linear("self_attn.q_proj"), &block.linear("self_attn.k_proj"),
                                    &block.linear("self_attn.v_proj")};
    std::vector<Tensor> qkv = ForwardLinears(inputs, x, context.groups, context.keep);
    if (options.qk_norm) {
      qkv[0] = block.norm("self_attn.q_norm").Forward(std::as_const(qkv[0]).view());
      qkv[1] = block.norm("self_attn.k_norm").Forward(std::as_const(qkv[1]).view());
    }
    attended = RotaryAttention(options.sizes, table, block.name() + ".self_attn", context, &qkv[0], &qkv[1],
                               std::as_const(qkv[2]).view());
  }
  return ForwardLinear(block.linear("self_attn.o_proj"), std::as_const(attended).view(), context.groups, context.keep);
}

void AddSelfAttention(std::vector<ModuleInfo>* modules, const std::string& prefix, const DecoderSizes& sizes,
                      DType dtype, const SelfAttentionBiases& biases, bool qk_norm) {
  const int64_t q = sizes.heads * sizes.head_dim, kv = sizes.kv_heads * sizes.head_dim;
  modules->push_back(LinearInfo(prefix + ".q_proj", q, sizes.hidden, dtype, biases.qkv));
  modules->push_back(LinearInfo(prefix + ".k_proj", kv, sizes.hidden, dtype, biases.qkv));
  modules->push_back(LinearInfo(prefix + ".v_proj", kv, sizes.hidden, dtype, biases.qkv));
  modules->push_back(LinearInfo(prefix + ".o_proj", sizes.hidden, q, dtype, biases.output));
  if (!qk_norm) return;
  modules->push_back(NormInfo(prefix + ".q_norm", sizes.head_dim, dtype));
  modules->push_back(NormInfo(prefix + ".k_norm", sizes.head_dim, dtype));
}

Subgraph DecoderFamily::ValueOutputGroup(const std::string& attention) const {
  Subgraph group;
  group.type = SubgraphType::kOv;
  group.source = attention + ".v_proj";
  group.targets = {attention + ".o_proj"};
  group.heads = sizes_.heads;
  group.kv_heads = sizes_.kv_heads;
  return group;
}

KvSmoothUnit DecoderFamily::KvUnit(const std::string& attention, bool qk_norm) const {
  KvSmoothUnit unit;
  unit.attention = attention;
  unit.query = attention + (qk_norm ? ".q_norm" : ".q_proj");
  unit.key = attention + (qk_norm ? ".k_norm" : ".k_proj");
  unit.into_norm = qk_norm;
  unit.heads = sizes_.heads;
  unit.kv_heads = sizes_.kv_heads;
  unit.head_dim = sizes_.head_dim;
  return unit;
}

}  // namespace modelslim
