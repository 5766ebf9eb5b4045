#include "model/families/qwen3_next.h"

#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "model/checkpoint_facts.h"
#include "model/families/decoder_family.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/gated_delta_net.h"
#include "model/parts/layout_builder.h"
#include "model/parts/moe_config.h"
#include "model/rope_config.h"

namespace modelslim {
namespace {

struct Config {
  DecoderSizes sizes;
  MoeConfig moe;
  GatedDeltaShape delta;
  int64_t kernel = 4;
  int64_t intermediate = 0;
  RopeConfig rope;
  std::vector<bool> full_attention;  // per layer
  Activation act = Activation::kSilu;
  bool attention_bias = false;
  bool tied = false;
  std::optional<AttentionWindow> window;
  DType dtype = DType::kBF16;
};

// q_proj gives [q | gate] for every head.
void SplitHeads(const ConstView& both, int64_t heads, int64_t dim, const View& q, const View& gate) {
  const auto bytes = static_cast<size_t>(dim) * DTypeSize(both.dtype);
  const auto* const in = static_cast<const std::byte*>(both.data);
  ParallelRanges(both.rows() * heads, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(static_cast<std::byte*>(q.data) + i * bytes, in + 2 * i * bytes, bytes);
      std::memcpy(static_cast<std::byte*>(gate.data) + i * bytes, in + (2 * i + 1) * bytes, bytes);
    }
  });
}

// weight + shift, rounded to its type.
Tensor Shifted(const ConstView& weight, float shift) {
  Tensor made(weight.dtype, weight.shape);
  WithModelDType(weight.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < weight.size(); ++i) made.as<T>()[i] = From<T>(ToF32(weight.as<T>()[i]) + shift);
  });
  return made;
}

class Qwen3NextFamily : public DecoderFamily {
 public:
  Qwen3NextFamily(std::string_view adapter, const Config& config)
      : DecoderFamily(adapter, config.sizes), config_(config) {
    layout_.dtype = config.dtype;
    for (int64_t i = 0; i < sizes_.layers; ++i) layout_.blocks.push_back(MakeBlockInfo(i));
    layout_.rest = HeadModules({sizes_.vocab, sizes_.hidden, config.dtype, config.tied});
    layout_.left_out_prefixes = {"mtp."};
    layout_.window = config.window;
    layout_.ignored_suffixes = {".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"};
  }

  // input_layernorm runs in its ordinary form, with the weight 1 + w rounded to its type: that is what smoothing
  // divides.
  std::unique_ptr<Block> MakeBlock(int index, const WeightSource& source) const override {
    std::unique_ptr<Block> block = Family::MakeBlock(index, source);
    if (index < 0) return block;
    NormModule& norm = block->norm("input_layernorm");
    norm.weight().Set(Shifted(norm.weight().Get(), 1.0f));
    norm.set_kind(NormKind::kPlain);
    return block;
  }

  std::vector<std::string> Parts(int block) const override {
    if (!IsFull(block)) return {};
    return {LayerName(block) + ".self_attn"};
  }

  std::vector<Subgraph> Subgraphs(int block) const override {
    if (!IsFull(block)) return {};
    const std::string layer = LayerName(block);
    return {{SubgraphType::kNormLinear, layer + ".input_layernorm",
             Join(layer + ".self_attn", {"k_proj", "q_proj", "v_proj"})}};
  }

  ExpertCount Experts(int block) const override { return config_.moe.Count(block); }
  int64_t MultiplyAddsPerToken(int block) const override {
    return config_.moe.MultiplyAdds(layout_.blocks.at(static_cast<size_t>(block)));
  }
  uint64_t ForwardBytes(int block, const ForwardForm& form) const override {
    const AttentionHeads heads{sizes_.heads, sizes_.kv_heads, sizes_.head_dim};
    const uint64_t attention = IsFull(block) ? SelfAttentionBytes(heads, sizes_.hidden, form, /*gated=*/true)
                                             : GatedDeltaBytes(config_.delta, sizes_.hidden, form);
    const uint64_t mlp = config_.moe.IsSparse(block) ? SoftmaxMoeBytes(config_.moe, sizes_.hidden, form)
                                                     : GatedMlpBytes(sizes_.hidden, config_.intermediate, form);
    return DecoderLayerBytes(sizes_.hidden, attention, mlp, form);
  }

  bool StoresShifted(std::string_view norm) const override { return norm.ends_with(".input_layernorm"); }

  // Back to the zero-centred form. A norm that nothing touched since MakeBlock gets the bits of the checkpoint, which 1
  // + w could not hold.
  void BeforeSave(Block& block, bool replaced) const override {
    NormModule* const norm = block.FindNorm(block.name() + ".input_layernorm");
    if (norm == nullptr || (norm->replaced() && !replaced)) return;
    Parameter& weight = norm->weight();
    const bool untouched = weight.version() == 1 && !norm->replaced();
    weight.Set(untouched ? block.source().Load(weight.info()) : Shifted(weight.Get(), -1.0f));
  }

 protected:
  NormKind NormKindOf(const ModuleInfo&) const override { return NormKind::kZeroCentred; }

 private:
  Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const override {
    if (IsFull(block.info().index)) return GatedAttention(block, context, x);
    return GatedDeltaNet({config_.delta, sizes_.eps}, block, context, x);
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

  bool IsFull(int block) const { return config_.full_attention[static_cast<size_t>(block)]; }

  BlockInfo MakeBlockInfo(int64_t index) const {
    BlockInfo info;
    info.name = LayerName(index);
    info.index = static_cast<int>(index);
    if (config_.full_attention[static_cast<size_t>(index)]) {
      AddGatedAttention(&info);
    } else {
      AddDeltaNet(&info);
    }
    AddMlp(&info);
    info.modules.push_back(NormInfo(info.name + ".input_layernorm", sizes_.hidden, config_.dtype));
    info.modules.push_back(NormInfo(info.name + ".post_attention_layernorm", sizes_.hidden, config_.dtype));
    return info;
  }

  void AddGatedAttention(BlockInfo* info) const {
    info->attention = {info->name + ".self_attn"};
    const size_t first = info->modules.size();
    AddSelfAttention(&info->modules, info->attention.front(), sizes_, config_.dtype,
                     {config_.attention_bias, config_.attention_bias}, true);
    info->modules[first] = LinearInfo(info->attention.front() + ".q_proj", 2 * sizes_.heads * sizes_.head_dim,
                                      sizes_.hidden, config_.dtype, config_.attention_bias);
  }

  void AddDeltaNet(BlockInfo* info) const {
    const std::string name = info->name + ".linear_attn";
    const GatedDeltaShape& shape = config_.delta;
    const int64_t keys = shape.key_heads * shape.key_dim, values = shape.value_heads * shape.value_dim;
    info->modules.push_back(OtherInfo(name, {ParamOf(name + ".dt_bias", {shape.value_heads}, config_.dtype),
                                             ParamOf(name + ".A_log", {shape.value_heads}, config_.dtype)}));
    info->modules.push_back(OtherInfo(
        name + ".conv1d", {ParamOf(name + ".conv1d.weight", {2 * keys + values, 1, config_.kernel}, config_.dtype)}));
    info->modules.push_back(LinearInfo(name + ".in_proj_qkvz", 2 * keys + 2 * values, sizes_.hidden, config_.dtype));
    info->modules.push_back(LinearInfo(name + ".in_proj_ba", 2 * shape.value_heads, sizes_.hidden, config_.dtype));
    info->modules.push_back(
        OtherInfo(name + ".norm", {ParamOf(name + ".norm.weight", {shape.value_dim}, config_.dtype)}));
    info->modules.push_back(LinearInfo(name + ".out_proj", sizes_.hidden, values, config_.dtype));
  }

  void AddMlp(BlockInfo* info) const {
    const std::string mlp = info->name + ".mlp";
    if (!config_.moe.IsSparse(info->index)) {
      AddGatedMlp(&info->modules, mlp, sizes_.hidden, config_.intermediate, config_.dtype);
      return;
    }
    info->modules.push_back(LinearInfo(mlp + ".gate", config_.moe.experts, sizes_.hidden, config_.dtype));
    for (const std::string& unit : config_.moe.Units(mlp, info->index)) {
      AddGatedMlp(&info->modules, unit, sizes_.hidden, config_.moe.intermediate, config_.dtype);
    }
    AddGatedMlp(&info->modules, mlp + ".shared_expert", sizes_.hidden, config_.moe.shared_intermediate, config_.dtype);
    info->modules.push_back(LinearInfo(mlp + ".shared_expert_gate", 1, sizes_.hidden, config_.dtype));
  }

  Tensor GatedAttention(Block& block, const ForwardContext& context, const ConstView& x) const {
    const RopeTable table(config_.rope, context.groups.offsets, layout_.dtype);
    Tensor attended;
    {
      LinearModule* const inputs[] = {&block.linear("self_attn.q_proj"), &block.linear("self_attn.k_proj"),
                                      &block.linear("self_attn.v_proj")};
      std::vector<Tensor> qkv = ForwardLinears(inputs, x, context.groups, context.keep);
      const Shape width = {x.rows(), sizes_.heads * sizes_.head_dim};
      Tensor q(qkv[0].dtype(), width), gate(qkv[0].dtype(), width);
      SplitHeads(std::as_const(qkv[0]).view(), sizes_.heads, sizes_.head_dim, q.view(), gate.view());
      q = block.norm("self_attn.q_norm").Forward(std::as_const(q).view());
      qkv[1] = block.norm("self_attn.k_norm").Forward(std::as_const(qkv[1]).view());
      const Tensor raw =
          RotaryAttention({sizes_.heads, sizes_.kv_heads, sizes_.head_dim}, table, block.name() + ".self_attn", context,
                          &q, &qkv[1], std::as_const(qkv[2]).view());
      Sigmoid(std::as_const(gate).view(), gate.view());
      attended = Tensor(Promote(raw.dtype(), gate.dtype()), width);
      Multiply(raw.view(), std::as_const(gate).view(), attended.view());
    }
    return ForwardLinear(block.linear("self_attn.o_proj"), std::as_const(attended).view(), context.groups,
                         context.keep);
  }

  Config config_;
};

// layer_types when the file has it, else full attention in every n-th layer.
std::vector<bool> ReadLayerKinds(const JsonRef& config, int64_t layers) {
  std::vector<bool> full;
  RequireLayerTypes(config, {"full_attention", "linear_attention"});
  const std::vector<std::string> kinds = ReadLayerTypes(config, layers);
  if (kinds.empty()) {
    const int64_t interval = ReadSizeOr(config, "full_attention_interval", 4);
    for (int64_t i = 0; i < layers; ++i) full.push_back((i + 1) % interval == 0);
    return full;
  }
  for (const std::string& kind : kinds) full.push_back(kind == "full_attention");
  return full;
}

GatedDeltaShape ReadDeltaShape(const JsonRef& config) {
  GatedDeltaShape shape;
  shape.key_heads = ReadSizeOr(config, "linear_num_key_heads", 16);
  shape.value_heads = ReadSizeOr(config, "linear_num_value_heads", 32);
  shape.key_dim = ReadSizeOr(config, "linear_key_head_dim", 128);
  shape.value_dim = ReadSizeOr(config, "linear_value_head_dim", 128);
  if (shape.value_heads % shape.key_heads != 0) {
    config["linear_num_value_heads"].Fail("a multiple of linear_num_key_heads (" + std::to_string(shape.key_heads) +
                                          ")");
  }
  return shape;
}

}  // namespace

std::unique_ptr<Family> MakeQwen3Next(std::string_view adapter, const Json& config, const Checkpoint& checkpoint) {
  const JsonRef ref(config, "config.json");
  Config made;
  made.sizes = ReadDecoderSizes(ref, 256);
  const MoeDefaults defaults{
      .experts = 512, .top_k = 10, .intermediate = 512, .shared_intermediate = 512, .renormalize = true};
  made.moe = ReadSoftmaxMoe(ref, defaults, made.sizes.layers);
  made.intermediate = ReadSizeOr(ref, "intermediate_size", 5632);
  made.delta = ReadDeltaShape(ref);
  made.kernel = ref["linear_conv_kernel_dim"] ? ref["linear_conv_kernel_dim"].AsInt(1, 64) : 4;
  made.full_attention = ReadLayerKinds(ref, made.sizes.layers);
  made.window = ReadWindow(ref, made.sizes.layers, {.default_size = 4096});
  if (!ref["attn_output_gate"].BoolOr(true)) RefuseKey(ref["attn_output_gate"]);
  made.act = ReadActivation(ref);
  made.dtype = ReadModelDType(ref, checkpoint);
  made.rope = ReadRope(ref, {.head_dim = made.sizes.head_dim, .default_share = 0.25}, made.sizes.layers);
  made.tied = ReadTied(ref, checkpoint);
  made.attention_bias = ref["attention_bias"].BoolOr(false);
  return std::make_unique<Qwen3NextFamily>(adapter, made);
}

std::span<const KeptFloat> Qwen3NextKeptFloat() {
  constexpr Verdict kCodes = {Outcome::kWrong, "it reads the codes into a BF16 layer and leaves the scales"};
  constexpr Verdict kFloatOnly = {Outcome::kRefused, "it builds the layer without quantization"};
  constexpr Verdict kUnknown = {Outcome::kUnknown, ""};
  static constexpr KeptFloat kRows[] = {
      {".mlp.gate",
       "routers",
       "a rounded router sends tokens to other experts, for a few kilobytes",
       {kCodes, kFloatOnly, kFloatOnly, kUnknown}},
      {".mlp.shared_expert_gate",
       "gates of the shared expert",
       "a row each, which weighs the whole expert",
       {kCodes, kFloatOnly, kFloatOnly, kUnknown}},
  };
  return kRows;
}

}  // namespace modelslim
