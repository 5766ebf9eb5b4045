#include "model/families/deepseek_v3_2.h"

#include <cmath>
#include <utility>

#include "model/families/deepseek.h"
#include "model/parts/forward_bytes.h"
#include "model/parts/layout_builder.h"
#include "model/rope_config.h"
#include "ops/attention/indexer.h"
#include "ops/columns.h"

namespace modelslim {
namespace {

constexpr const char *kQueryRotation = ".indexer.q_rot", *kKeyRotation = ".indexer.k_rot";

struct IndexerSizes {
  int64_t heads = 64, dim = 128, top = 2048;
};

// x and the residual beside it, separately.
struct Streams {
  Tensor x, residual;
};

Tensor SideBySide(const ConstView& x, const ConstView& residual) {
  const int64_t width = x.cols();
  Tensor both(Promote(x.dtype, residual.dtype), {x.rows(), 2 * width});
  CopyColumns(x, both.view(), {{0, 0, width}});
  CopyColumns(residual, both.view(), {{0, width, width}});
  return both;
}

Tensor Silu32(Activation act, const ConstView& gate, const ConstView& up, DType dtype) {
  Tensor product(dtype, gate.shape);
  ActivateMulF32(act, gate, up, product.view());
  return product;
}

class DeepseekV32Family : public DeepseekFamily {
 public:
  DeepseekV32Family(std::string_view adapter, const DeepseekConfig& config, const IndexerSizes& indexer,
                    const Checkpoint& checkpoint)
      : DeepseekFamily(adapter, config, Traits(config, indexer), checkpoint), indexer_(indexer) {
    const bool stretched = config.rope.type == RopeType::kYarn;
    scale_ = MlaScale(config.mla, stretched ? config.rope.mscale.value_or(1.0) : 0, config.rope.factor);
    // The tables are not scaled; the factor is in the scores.
    config_.rope.attention_factor = 1.0;
  }

  // [x | residual]; nothing is in the residual yet.
  int64_t HiddenWidth() const override { return 2 * sizes_.hidden; }

  Tensor Embed(Block& rest, std::span<const int32_t> ids) const override {
    const Tensor x = Family::Embed(rest, ids);
    return SideBySide(x.view(), Tensor::Zeros(x.dtype(), x.shape()).view());
  }

  Tensor Forward(Block& block, const ForwardContext& context, const ConstView& hidden) const override {
    Streams streams{TakeColumns(hidden, 0, sizes_.hidden), TakeColumns(hidden, sizes_.hidden, sizes_.hidden)};
    if (config_.IsMtp(block.info().index)) {
      // As the reference does it, the prediction is made from x without its residual.
      const Tensor x = std::move(streams.x);
      streams.x = MtpInput(block, context, PredictNext(context, x.view()), x.view(), layout_.dtype == DType::kBF16);
    }
    const Tensor attention_input = FusedNorm(block.norm("input_layernorm"), &streams);
    streams.x = Attention(block, context, attention_input.view());
    const Tensor mlp_input = FusedNorm(block.norm("post_attention_layernorm"), &streams);
    streams.x = Mlp(block, context, mlp_input.view());
    return SideBySide(std::as_const(streams.x).view(), std::as_const(streams.residual).view());
  }

  Tensor Logits(Block& rest, const ConstView& hidden) const override {
    Streams streams{TakeColumns(hidden, 0, sizes_.hidden), TakeColumns(hidden, sizes_.hidden, sizes_.hidden)};
    const Tensor normed = FusedNorm(rest.norm("model.norm"), &streams);
    return rest.linear("lm_head").FloatForward(normed.view(), Keep::kValues);
  }

  std::vector<RotationSite> RotationSites(int block) const override {
    const std::string attention = LayerName(block) + ".self_attn";
    return {{attention + kQueryRotation, attention, indexer_.dim}, {attention + kKeyRotation, attention, indexer_.dim}};
  }

  // Its branches are not offered by themselves.
  std::vector<std::string> Parts(int) const override { return {}; }

  uint64_t ForwardBytes(int block, const ForwardForm& form) const override {
    const int64_t hidden = sizes_.hidden;
    const int64_t index = 2 * (indexer_.heads + 1) * indexer_.dim + 3 * indexer_.heads;
    // Both streams, the norms' sums of them in f32, what enters a branch.
    const uint64_t norm = form.bytes(3 * hidden) + form.f32_bytes(3 * hidden);
    const uint64_t attention =
        form.bytes(3 * hidden) + LatentAttentionBytes(config_.mla, form, index) + SelectionBytes(form);
    const uint64_t mlp = form.bytes(4 * hidden) + MlpBytes(block, form);
    const uint64_t layer = std::max({norm, attention, mlp, form.bytes(5 * hidden)});
    return config_.IsMtp(block) ? MtpBytes(form, layer) : layer;
  }

 private:
  static DeepseekTraits Traits(const DeepseekConfig& config, const IndexerSizes& indexer) {
    DeepseekTraits traits;
    traits.norm_dtype = traits.bias_dtype = traits.head_dtype = DType::kF32;
    traits.extra_dtype = traits.rotation_dtype = config.dtype;
    traits.indexer = traits.router_first = traits.down_before_up = true;
    traits.index_heads = indexer.heads;
    traits.index_dim = indexer.dim;
    return traits;
  }

  NormKind NormKindOf(const ModuleInfo& module) const override {
    for (const char* const extra : {".enorm", ".hnorm", ".shared_head.norm"}) {
      if (module.name.ends_with(extra)) return NormKind::kPlain;
    }
    return NormKind::kF32Weight;
  }

  double NormEps(const ModuleInfo&) const override { return sizes_.eps; }

  // norm(x + residual), the sum in f32 and rounded only to become the next residual.
  static Tensor FusedNorm(NormModule& norm, Streams* streams) {
    const DType dtype = streams->x.dtype();
    Tensor sum = ConvertTo(std::as_const(streams->x).view(), DType::kF32);
    const Tensor other = ConvertTo(std::as_const(streams->residual).view(), DType::kF32);
    Add(std::as_const(sum).view(), other.view(), sum.view());
    const Tensor normed = norm.Forward(std::as_const(sum).view());
    streams->residual = ConvertTo(std::as_const(sum).view(), streams->residual.dtype());
    return ConvertTo(normed.view(), norm.replaced() ? DType::kF32 : dtype);
  }

  Tensor GatedUnit(Block& block, const std::string& prefix, const ConstView& x, const RowGroups& groups,
                   Keep keep) const override {
    LinearModule* const inputs[] = {&block.linear(prefix + ".gate_proj"), &block.linear(prefix + ".up_proj")};
    const std::vector<Tensor> both = ForwardLinears(inputs, x, groups, keep);
    const Tensor product = Silu32(config_.act, both[0].view(), both[1].view(), x.dtype);
    return ForwardLinear(block.linear(prefix + ".down_proj"), product.view(), groups, keep);
  }

  Tensor Mlp(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const auto unit = [&](const std::string& prefix, const ConstView& rows, const RowGroups& groups) {
      return GatedUnit(block, prefix, rows, groups, context.keep);
    };
    if (!config_.IsSparse(block.info().index)) return unit("mlp", x, context.groups);
    Tensor sum = DeepseekExperts(config_, block, unit, x, context);
    if (config_.shared_experts > 0) {
      const Tensor shared = unit("mlp.shared_experts", x, context.groups);
      Add(std::as_const(sum).view(), shared.view(), sum.view());
    }
    return ConvertTo(std::as_const(sum).view(), x.dtype);
  }

  // MTP: positions begin at 1.
  RopeTable MakeTable(const Block& block, const RowGroups& groups) const {
    if (!config_.IsMtp(block.info().index)) return RopeTable(config_.rope, groups.offsets, DType::kF32);
    std::vector<int64_t> positions;
    for (int64_t s = 0; s < groups.samples(); ++s) {
      for (int64_t t = 1; t <= groups.offsets[s + 1] - groups.offsets[s]; ++t) positions.push_back(t);
    }
    return RopeTable(config_.rope, groups.offsets, positions, DType::kF32);
  }

  Tensor Attention(Block& block, const ForwardContext& context, const ConstView& x) const override {
    const MlaSizes& mla = config_.mla;
    const RopeTable table = MakeTable(block, context.groups);
    Tensor attended;
    {
      LinearModule* const first[] = {&block.linear("self_attn.q_a_proj"), &block.linear("self_attn.kv_a_proj_with_mqa"),
                                     &block.linear("self_attn.indexer.wk"),
                                     &block.linear("self_attn.indexer.weights_proj")};
      std::vector<Tensor> of_x = ForwardLinears(first, x, context.groups, context.keep);
      const Tensor latent = block.norm("self_attn.q_a_layernorm").Forward(std::as_const(of_x[0]).view());
      LinearModule* const second[] = {&block.linear("self_attn.q_b_proj"), &block.linear("self_attn.indexer.wq_b")};
      std::vector<Tensor> of_latent = ForwardLinears(second, latent.view(), context.groups, context.keep);
      const Tensor c = block.norm("self_attn.kv_a_layernorm")
                           .Forward(TakeColumns(std::as_const(of_x[1]).view(), 0, mla.kv_lora).view());
      const Tensor kv = ForwardLinear(block.linear("self_attn.kv_b_proj"), c.view(), context.groups, context.keep);
      Tensor k_pe = TakeColumns(std::as_const(of_x[1]).view(), mla.kv_lora, mla.rope);
      ApplyRope(of_latent[0].view(), table, MlaQueryRope(mla, RopeLayout::kInterleaved));
      ApplyRope(k_pe.view(), table, {.heads = 1, .layout = RopeLayout::kInterleaved});
      const KeysAndValues states = AssembleKeys(mla, kv.view(), std::as_const(k_pe).view());
      const Tensor weights = PrepareIndex(block, table, &of_latent[1], &of_x[2], std::as_const(of_x[3]).view());
      attended = Tensor(x.dtype, {x.rows(), mla.heads * mla.v});
      AttendAll(context.groups, {std::as_const(of_latent[1]).view(), std::as_const(of_x[2]).view(), weights.view()},
                std::as_const(of_latent[0]).view(), states, attended.view());
    }
    return ForwardLinear(block.linear("self_attn.o_proj"), std::as_const(attended).view(), context.groups,
                         context.keep);
  }

  // Rotates the indexer's queries and keys (the rotary part comes first) and spreads them by a Hadamard matrix, in
  // place; returns the heads' weights, f32.
  Tensor PrepareIndex(Block& block, const RopeTable& table, Tensor* q, Tensor* k, const ConstView& projected) const {
    Tensor normed(k->dtype(), k->shape());
    LayerNorm(std::as_const(*k).view(), block.parameter("self_attn.indexer.k_norm.weight").Get(),
              block.parameter("self_attn.indexer.k_norm.bias").Get(), 1e-6f, normed.view());
    *k = std::move(normed);
    ApplyRope(q->view(), table, {.heads = indexer_.heads, .layout = RopeLayout::kInterleaved});
    ApplyRope(k->view(), table, {.heads = 1, .layout = RopeLayout::kInterleaved});
    HadamardHeads(q->view(), indexer_.dim);
    HadamardHeads(k->view(), indexer_.dim);
    Rotate(block, kQueryRotation, q);
    Rotate(block, kKeyRotation, k);
    Tensor weights = Tensor::Copy(projected);
    Scale(weights.view(), static_cast<float>(1.0 / std::sqrt(static_cast<double>(indexer_.heads))));
    weights = ConvertTo(std::as_const(weights).view(), DType::kF32);
    Scale(weights.view(), static_cast<float>(1.0 / std::sqrt(static_cast<double>(indexer_.dim))));
    return weights;
  }

  static void Rotate(Block& block, const char* site, Tensor* x) {
    const auto& rotation = block.rotation(block.name() + ".self_attn" + site);
    if (rotation != nullptr) *x = rotation->Apply(std::as_const(*x).view());
  }

  struct Index {
    ConstView q, k, weights;
  };

  // What SelectedAttention() takes for the longest sample.
  uint64_t SelectionBytes(const ForwardForm& form) const {
    if (form.longest <= indexer_.top) return 0;
    const int64_t widths = config_.mla.heads * 2 * (config_.mla.qk() + config_.mla.v) + indexer_.top;
    return static_cast<uint64_t>(form.longest * widths) * sizeof(float);
  }

  // Dense attention for samples of at most `top` tokens, where every earlier token is selected.
  void AttendAll(const RowGroups& groups, const Index& index, const ConstView& q, const KeysAndValues& states,
                 const View& out) const {
    const MlaSizes& mla = config_.mla;
    const AttentionShape shape{
        .heads = mla.heads, .kv_heads = mla.heads, .dim = mla.qk(), .v_dim = mla.v, .scale = scale_};
    for (int64_t s = 0; s < groups.samples(); ++s) {
      const int64_t begin = groups.offsets[s], end = groups.offsets[s + 1];
      const ConstView keys = states.keys.view().Rows(begin, end), values = states.values.view().Rows(begin, end);
      if (end - begin <= indexer_.top) {
        const int64_t whole[] = {0, end - begin};
        CausalAttention(shape, q.Rows(begin, end), keys, values, whole, out.Rows(begin, end));
        continue;
      }
      const auto positions = SelectPositions(index.q.Rows(begin, end), index.k.Rows(begin, end),
                                             index.weights.Rows(begin, end), indexer_.top);
      SelectedAttention(shape, q.Rows(begin, end), keys, values, positions, out.Rows(begin, end));
    }
  }

  IndexerSizes indexer_;
  float scale_ = 1;
};

}  // namespace

std::unique_ptr<Family> MakeDeepseekV32(std::string_view adapter, const Json& config, const Checkpoint& checkpoint) {
  const JsonRef ref(config, "config.json");
  DeepseekConfig made = ReadDeepseek(config, checkpoint);
  if (made.mla.q_lora == 0) ref["q_lora_rank"].Fail("an integer: the indexer reads the low-rank queries");
  IndexerSizes indexer;
  indexer.heads = ReadSizeOr(ref, "index_n_heads", indexer.heads);
  indexer.dim = ReadSizeOr(ref, "index_head_dim", indexer.dim);
  indexer.top = ReadSizeOr(ref, "index_topk", indexer.top);
  if ((indexer.dim & (indexer.dim - 1)) != 0 || indexer.dim < made.mla.rope) {
    ref["index_head_dim"].Fail("a power of two, at least qk_rope_head_dim (" + std::to_string(made.mla.rope) + ")");
  }
  if (!HasRopeSettings(ref)) {
    // The published model's constants.
    made.rope.type = RopeType::kYarn;
    made.rope.factor = 40;
    made.rope.original_max_position = 4096;
    made.rope.mscale = 1.0;
  }
  return std::make_unique<DeepseekV32Family>(adapter, made, indexer, checkpoint);
}

std::span<const KeptFloat> DeepseekV32KeptFloat() {
  static const std::vector<KeptFloat> rows = [] {
    constexpr Verdict kTakes = {};
    constexpr Verdict kFloatOnly = {Outcome::kRefused, "it builds the layer without quantization"};
    std::vector<KeptFloat> made = DeepseekKeptFloat();
    made.push_back({".indexer.wk",
                    "keys of the indexer",
                    "engines fuse them with weights_proj into one float layer",
                    {kFloatOnly, kFloatOnly, kTakes, kFloatOnly}});
    made.push_back({".indexer.weights_proj",
                    "head weights of the indexer",
                    "engines fuse them with wk into one float layer",
                    {kFloatOnly, kFloatOnly, kFloatOnly, kFloatOnly}});
    made.push_back({".indexer.wq_b",
                    "queries of the indexer",
                    "one server takes the whole indexer as floats only",
                    {kTakes, kTakes, kTakes, kFloatOnly}});
    return made;
  }();
  return rows;
}

}  // namespace modelslim
