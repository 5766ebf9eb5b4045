// Tables of the processors that move outliers: smoothing and rotation.
#include "config/recipe/qconfig_rules.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

constexpr std::string_view kSourceEn =
    "Patterns of the source modules (norm, v_proj, up_proj) whose subgraphs are smoothed; empty or null: all.";
constexpr std::string_view kSourceZh =
    "要平滑的子图的源模块（norm、v_proj、up_proj）名称模式；空列表或 null 表示全部。";

template <class T>
void Subgraphs(SchemaBuilder<T>& b) {
  b.Field("enable_subgraph_type", &T::enable_subgraph_type,
          "Kinds of subgraphs that are smoothed; an empty list does nothing.",
          "要平滑的子图类型；空列表表示不做任何处理。");
}

template <class T>
void WarnNoSubgraphs(Reader& reader, const YamlNode& node, T& config) {
  if (!config.enable_subgraph_type.empty()) return;
  const Reader::Step step(reader, "enable_subgraph_type");
  reader.Warn(node.Find("enable_subgraph_type")->value->pos, "with an empty list this processor does nothing");
}

template <class T>
void AlphaBeta(SchemaBuilder<T>& b, bool beta_used) {
  b.Field("alpha", &T::alpha, "Exponent of the activation statistic.", "激活统计量的指数。")
      .Rule(Open(0, 1))
      .WhenAbsent("searched", "自动搜索");
  b.Field("beta", &T::beta,
          beta_used ? "Exponent of the weight statistic. Both exponents are searched unless both are given."
                    : "Accepted and never used.",
          beta_used ? "权重统计量的指数。两个指数未同时给出时均自动搜索。" : "可以填写，但不起作用。")
      .Rule(Open(0, 1))
      .WhenAbsent(beta_used ? "searched" : "unused", beta_used ? "自动搜索" : "不使用");
}

void CheckFlex(Reader& reader, const YamlNode& node, FlexSmoothConfig& config) {
  WarnNoSubgraphs(reader, node, config);
  if (config.alpha.has_value() == config.beta.has_value()) return;
  const char* given = config.alpha ? "alpha" : "beta";
  const Reader::Step step(reader, given);
  reader.Warn(node.Find(given)->value->pos,
              std::string(given) + " alone has no effect: both exponents are searched unless both are given");
}

void CheckAwqSsz(Reader& reader, const YamlNode& node, FlexAwqSszConfig& config) {
  WarnNoSubgraphs(reader, node, config);
  if (const YamlEntry* beta = node.Find("beta")) {
    const Reader::Step step(reader, "beta");
    reader.Warn(beta->value->pos, "beta has no effect here: the weights have no part in the scale");
  }
  CheckHalves(reader, config.qconfig);
}

void CheckAwq(Reader& reader, const YamlNode& node, AwqConfig& config) {
  WarnNoSubgraphs(reader, node, config);
  CheckWeightHalf(reader, config.weight_qconfig);
}

void CheckAdaptRotation(Reader& reader, const YamlNode& node, AdaptRotationConfig& config) {
  struct Owner {
    std::string_view key;
    int64_t stage;
  };
  constexpr Owner kOwners[] = {{"steps", 1},       {"quant_dtype", 1}, {"layer_type", 1},
                               {"max_samples", 1}, {"online", 2},      {"down_proj_online_layers", 2},
                               {"max_tp_size", 2}};
  for (const Owner& owner : kOwners) {
    const YamlEntry* entry = node.Find(owner.key);
    if (entry == nullptr || owner.stage == config.stage) continue;
    Remark remark;
    remark.tip = "delete it, or set stage: " + std::to_string(owner.stage);
    reader.Error(entry->key_pos, std::string(owner.key) + " belongs to stage " + std::to_string(owner.stage),
                 std::move(remark));
  }
  if (config.layer_type.empty()) {
    const Reader::Step step(reader, "layer_type");
    reader.Error(node.Find("layer_type")->value->pos, "at least one part of a module name is needed");
  }
}

template <class T>
FieldRef OnlineLayers(SchemaBuilder<T>& b) {
  return b.Field("down_proj_online_layers", &T::down_proj_online_layers,
                 "Layers whose down_proj gets an online rotation.", "对 down_proj 启用在线旋转的层号。");
}

template <class T>
void BlockSize(SchemaBuilder<T>& b) {
  b.Field("block_size", &T::block_size, "Size of the rotation's diagonal blocks; -1 is the full size.",
          "旋转矩阵对角块的大小；-1 表示整个维度。")
      .Rule(MinusOneOrPowerOfTwo());
}

ObjectSchema MakeSmoothQuant() {
  SchemaBuilder<SmoothQuantConfig> b("smooth_quant", "SmoothQuant on norm-linear subgraphs.",
                                     "对 norm-linear 子图做 SmoothQuant。");
  b.Field("alpha", &SmoothQuantConfig::alpha, "Exponent of the activation statistic.", "激活统计量的指数。")
      .Rule(Open(0, 1));
  b.Field("symmetric", &SmoothQuantConfig::symmetric, "false: the norm also shifts its output.",
          "false 时归一化层还会平移输出。");
  b.Selection(&SmoothQuantConfig::select, true, kSourceEn, kSourceZh);
  return b.Build();
}

ObjectSchema MakeIterSmooth() {
  SchemaBuilder<IterSmoothConfig> b("iter_smooth", "Iterative smoothing of all subgraph types.",
                                    "对各类子图做迭代平滑。");
  b.Field("alpha", &IterSmoothConfig::alpha, "Exponent of the activation statistic.", "激活统计量的指数。")
      .Rule(Open(0, 1));
  b.Field("scale_min", &IterSmoothConfig::scale_min, "Smallest smoothing scale.", "平滑缩放因子的下限。")
      .Rule(Open(0, 1));
  b.Field("symmetric", &IterSmoothConfig::symmetric, "false: norms also shift their output (norm-linear only).",
          "false 时归一化层还会平移输出（仅 norm-linear）。");
  Subgraphs(b);
  b.Selection(&IterSmoothConfig::select, true, kSourceEn, kSourceZh);
  b.Check(WarnNoSubgraphs<IterSmoothConfig>);
  return b.Build();
}

ObjectSchema MakeFlexSmooth() {
  SchemaBuilder<FlexSmoothConfig> b("flex_smooth_quant", "Smoothing whose exponents are searched.",
                                    "自动搜索指数的平滑。");
  AlphaBeta(b, true);
  Subgraphs(b);
  b.Selection(&FlexSmoothConfig::select, true, kSourceEn, kSourceZh);
  b.Check(CheckFlex);
  return b.Build();
}

ObjectSchema MakeFlexAwqSsz() {
  SchemaBuilder<FlexAwqSszConfig> b("flex_awq_ssz", "AWQ-like smoothing searched with the real quantizer.",
                                    "用真实量化器搜索的 AWQ 式平滑。");
  b.Field("qconfig", &FlexAwqSszConfig::qconfig, "The quantization that the search simulates.",
          "搜索时模拟的量化配置。")
      .Required();
  AlphaBeta(b, false);
  Subgraphs(b);
  b.Selection(&FlexAwqSszConfig::select, true, kSourceEn, kSourceZh);
  b.Check(CheckAwqSsz);
  return b.Build();
}

ObjectSchema MakeAwq() {
  SchemaBuilder<AwqConfig> b("awq", "Activation-aware weight scaling.", "激活感知的权重缩放（AWQ）。");
  b.Field("weight_qconfig", &AwqConfig::weight_qconfig, "The weight quantizer that the search simulates.",
          "搜索时模拟的权重量化器。")
      .Required();
  b.Field("n_grid", &AwqConfig::n_grid, "Candidates of the exponent.", "指数的候选个数。").Rule(Above(0));
  Subgraphs(b);
  b.Selection(&AwqConfig::select, true, kSourceEn, kSourceZh);
  b.Check(CheckAwq);
  return b.Build();
}

ObjectSchema MakeKvSmooth() {
  SchemaBuilder<KvSmoothConfig> b("kv_smooth", "Smooths keys against queries before KV cache quantization.",
                                  "KV cache 量化前平衡 K 与 Q 的数值范围。");
  b.Field("smooth_factor", &KvSmoothConfig::smooth_factor, "Exponent of the key statistic.", "K 统计量的指数。")
      .Rule(Above(0));
  b.Selection(&KvSmoothConfig::select, false, "Patterns of attention modules.", "注意力模块的名称模式。");
  return b.Build();
}

void CheckQuarot(Reader& reader, const YamlNode& node, QuarotConfig& config) {
  if (config.online) return;
  for (const char* const key : {"down_proj_online_layers", "max_tp_size"}) {
    const YamlEntry* const entry = node.Find(key);
    if (entry == nullptr) continue;
    const Reader::Step step(reader, key);
    reader.Warn(entry->value->pos, std::string(key) + " has no effect without online: true");
  }
}

ObjectSchema MakeQuarot() {
  SchemaBuilder<QuarotConfig> b("quarot", "Hadamard rotation of the residual stream (QuaRot). Needs no data.",
                                "对残差流做 Hadamard 旋转（QuaRot），无需校准数据。");
  b.Field("online", &QuarotConfig::online, "Also rotate at run time, before o_proj and the named down_proj.",
          "在 o_proj 及指定的 down_proj 之前增加运行时旋转。");
  BlockSize(b);
  OnlineLayers(b);
  b.Field("max_tp_size", &QuarotConfig::max_tp_size, "Largest tensor parallelism the online rotation allows.",
          "在线旋转允许的最大张量并行度。")
      .Rule(PowerOfTwo());
  b.Field("export_extra_info", &QuarotConfig::export_extra_info,
          "Write the global rotation to optional/quarot.safetensors.",
          "将全局旋转矩阵写入 optional/quarot.safetensors。")
      .Since26();
  b.Check(CheckQuarot);
  return b.Build();
}

ObjectSchema MakeOnlineQuarot() {
  SchemaBuilder<OnlineQuarotConfig> b("online_quarot", "Run-time rotations at the places the model names.",
                                      "在模型指定的位置加入运行时旋转。");
  BlockSize(b);
  b.Selection(&OnlineQuarotConfig::select, true, "Patterns of the rotated modules.", "被旋转模块的名称模式。");
  return b.Build();
}

ObjectSchema MakeAdaptRotation() {
  SchemaBuilder<AdaptRotationConfig> b(
      "adapt_rotation", "A rotation trained on activations: stage 1 (in spec.prior) finds it, stage 2 applies it.",
      "由激活训练得到的旋转：第 1 阶段（写在 spec.prior 中）求解，第 2 阶段应用。");
  b.Field("stage", &AdaptRotationConfig::stage, "1 or 2; the keys of the other stage are refused.",
          "1 或 2；不接受另一阶段的键。")
      .Required()
      .Rule(OneOf({1, 2}));
  BlockSize(b);
  b.Field("steps", &AdaptRotationConfig::steps, "Stage 1: optimization steps.", "第 1 阶段：优化步数。")
      .Rule(Closed(1, 1000));
  b.Field("quant_dtype", &AdaptRotationConfig::quant_dtype, "Stage 1: the later activation type.",
          "第 1 阶段：后续激活的量化类型。");
  b.Field("layer_type", &AdaptRotationConfig::layer_type,
          "Stage 1: parts of the names of the linear layers that are observed.",
          "第 1 阶段：被观测线性层名称中包含的文本。")
      .MaxLength(128)
      .NotBlank();
  b.Field("max_samples", &AdaptRotationConfig::max_samples, "Stage 1: rows kept per layer.",
          "第 1 阶段：每层保留的行数。")
      .Rule(Closed(1, 100000));
  b.Field("online", &AdaptRotationConfig::online, "Stage 2: as quarot.online.", "第 2 阶段：同 quarot.online。");
  OnlineLayers(b).Rule(AtLeast(0));
  b.Field("max_tp_size", &AdaptRotationConfig::max_tp_size, "Stage 2: as quarot.max_tp_size.",
          "第 2 阶段：同 quarot.max_tp_size。")
      .Rule(PowerOfTwo(64));
  b.Check(CheckAdaptRotation);
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(SmoothQuantConfig, MakeSmoothQuant)
MODELSLIM_TABLE(IterSmoothConfig, MakeIterSmooth)
MODELSLIM_TABLE(FlexSmoothConfig, MakeFlexSmooth)
MODELSLIM_TABLE(FlexAwqSszConfig, MakeFlexAwqSsz)
MODELSLIM_TABLE(AwqConfig, MakeAwq)
MODELSLIM_TABLE(KvSmoothConfig, MakeKvSmooth)
MODELSLIM_TABLE(QuarotConfig, MakeQuarot)
MODELSLIM_TABLE(OnlineQuarotConfig, MakeOnlineQuarot)
MODELSLIM_TABLE(AdaptRotationConfig, MakeAdaptRotation)

}  // namespace modelslim
