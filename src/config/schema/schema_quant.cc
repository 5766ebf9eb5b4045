// Tables of the processors that quantize or prune.
#include "config/recipe/qconfig_rules.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

constexpr std::string_view kLinearEn = "Patterns of the full names of linear layers; lm_head is never visited.";
constexpr std::string_view kLinearZh = "线性层完整名称的模式；lm_head 永远不会被处理。";
constexpr std::string_view kAttentionEn = "Patterns of attention modules (model.layers.0.self_attn); empty: all.";
constexpr std::string_view kAttentionZh = "注意力模块（model.layers.0.self_attn）的名称模式；空列表表示全部。";

void CheckLinearQuant(Reader& reader, const YamlNode&, LinearQuantConfig& config) {
  CheckPair(reader, config.qconfig, PairUse::kLinearQuant);
}

ObjectSchema MakeLinearQuant() {
  SchemaBuilder<LinearQuantConfig> b("linear_quant",
                                     "Quantizes linear layers. The first item that matches a layer has it.",
                                     "量化线性层。一个层由第一个匹配的处理项负责。");
  b.Field("qconfig", &LinearQuantConfig::qconfig, "How activation and weight are quantized.", "激活与权重的量化方式。")
      .Required();
  b.Selection(&LinearQuantConfig::select, false, kLinearEn, kLinearZh);
  b.Check(CheckLinearQuant);
  return b.Build();
}

ObjectSchema MakeGroup() {
  SchemaBuilder<GroupConfig> b("group", "Runs its items with one calibration pass per block instead of one each.",
                               "组内各处理项共用每个块的一次校准前向。");
  b.Field("configs", &GroupConfig::configs, "Items, as in spec.process; groups may nest.",
          "与 spec.process 相同的处理项，可以嵌套。")
      .Required();
  return b.Build();
}

void CheckDynamicCache(Reader& reader, const YamlNode&, DynamicCacheConfig& config) {
  const QConfig& q = config.qconfig;
  CheckExt(reader, q, QConfigRole::kOther);
  if (q.scope == QScope::kPerChannel && q.dtype == QDType::kInt8 && q.method == "minmax") return;
  const Reader::Step step(reader, "qconfig");
  Remark remark;
  remark.expected = "scope per_channel, dtype int8, method minmax";
  remark.found = QConfigText(q);
  remark.code = q.scope == QScope::kPerChannel ? ErrorCode::kUnsupported : ErrorCode::kSchema;
  reader.Error(q.pos, "the KV cache cannot be quantized so", std::move(remark));
}

ObjectSchema MakeDynamicCache() {
  SchemaBuilder<DynamicCacheConfig> b("dynamic_cache", "Quantizes the KV cache (C8).", "量化 KV cache（C8）。");
  b.Field("qconfig", &DynamicCacheConfig::qconfig, "int8, per_channel, minmax; symmetric or not.",
          "int8、per_channel、minmax，可对称或非对称。")
      .Required();
  b.Selection(&DynamicCacheConfig::select, false, kAttentionEn, kAttentionZh);
  b.Check(CheckDynamicCache);
  return b.Build();
}

ObjectSchema MakeFa3Details() {
  SchemaBuilder<Fa3Details> b("fa3_quant.details", "Each branch of the attention by itself.",
                              "分别设置注意力的各个分支。");
  b.Field("fa_q", &Fa3Details::fa_q, "Queries.", "Q 分支。").WhenAbsent("int8 per_head", "int8 per_head");
  b.Field("fa_k", &Fa3Details::fa_k, "Keys.", "K 分支。").WhenAbsent("int8 per_head", "int8 per_head");
  b.Field("fa_v", &Fa3Details::fa_v, "Values.", "V 分支。").WhenAbsent("int8 per_head", "int8 per_head");
  return b.Build();
}

void CheckFa3Half(Reader& reader, std::string_view key, const std::optional<QConfig>& q) {
  if (!q) return;
  CheckExt(reader, *q, QConfigRole::kOther);
  const bool int8 = q->dtype == QDType::kInt8, fp8 = q->dtype == QDType::kFp8E4M3;
  const bool mx = q->dtype == QDType::kMxfp4 || q->dtype == QDType::kMxfp8;
  const bool head_or_token = q->scope == QScope::kPerHead || q->scope == QScope::kPerToken;
  const bool minmax = q->method == "minmax";
  if (minmax && q->symmetric && ((head_or_token && (int8 || fp8)) || (q->scope == QScope::kPerBlock && mx))) return;
  const Reader::Step step(reader, key);
  Remark remark;
  remark.expected =
      "symmetric: true and method minmax with per_head or per_token int8 or fp8_e4m3, or per_block mxfp4 or mxfp8";
  remark.found = QConfigText(*q);
  remark.code = ErrorCode::kUnsupported;
  reader.Error(q->pos, "attention cannot be quantized so", std::move(remark));
}

void CheckFa3(Reader& reader, const YamlNode& node, Fa3Config& config) {
  if (config.qconfig && config.details) {
    Remark remark;
    remark.tip = "delete one of them";
    reader.Error(node.Find("details")->key_pos, "qconfig and details exclude each other", std::move(remark));
  }
  CheckFa3Half(reader, "qconfig", config.qconfig);
  if (!config.details) return;
  const Reader::Step step(reader, "details");
  CheckFa3Half(reader, "fa_q", config.details->fa_q);
  CheckFa3Half(reader, "fa_k", config.details->fa_k);
  CheckFa3Half(reader, "fa_v", config.details->fa_v);
}

ObjectSchema MakeFa3() {
  SchemaBuilder<Fa3Config> b("fa3_quant", "Quantizes the operands of the attention (FA3).",
                             "量化注意力的操作数（FA3）。");
  b.Field("qconfig", &Fa3Config::qconfig, "For q, k and v alike.", "对 q、k、v 统一设置。")
      .WhenAbsent("int8 per_head", "int8 per_head")
      .Since26();
  b.Field("details", &Fa3Config::details, "For each branch; excludes qconfig.", "对各分支分别设置，与 qconfig 互斥。")
      .WhenAbsent("none", "无")
      .Since26();
  b.Selection(&Fa3Config::select, false, "Patterns of attention modules.", "注意力模块的名称模式。");
  b.Check(CheckFa3);
  return b.Build();
}

ObjectSchema MakeFloatSparse() {
  SchemaBuilder<FloatSparseConfig> b("float_sparse",
                                     "Prunes linear layers (ADMM) and thins mantissas; weights stay float.",
                                     "对线性层剪枝（ADMM）并精简尾数，权重仍为浮点。");
  b.Field("sparse_ratio", &FloatSparseConfig::sparse_ratio, "Share of weights that become zero.", "置零权重的比例。")
      .Rule(Closed(0, 1));
  b.Selection(&FloatSparseConfig::select, false, "Patterns of linear layers; empty: all.",
              "线性层的名称模式；空列表表示全部。");
  return b.Build();
}

void CheckStrategy(Reader& reader, const YamlNode&, AutoroundStrategy& strategy) {
  CheckPair(reader, strategy.qconfig, PairUse::kAutoround);
}

ObjectSchema MakeStrategy() {
  SchemaBuilder<AutoroundStrategy> b("autoround_quant.strategies", "Which layers get which quantization.",
                                     "哪些层使用哪种量化。");
  b.Field("qconfig", &AutoroundStrategy::qconfig, "How activation and weight are quantized.", "激活与权重的量化方式。")
      .Required();
  b.Selection(&AutoroundStrategy::select, false, kLinearEn, kLinearZh);
  b.Check(CheckStrategy);
  return b.Build();
}

void CheckAutoround(Reader& reader, const YamlNode& node, AutoroundConfig& config) {
  if (!config.enable_round_tuning && !config.enable_minmax_tuning) {
    reader.Error(node.Find("enable_minmax_tuning")->value->pos,
                 "nothing is left to train: both tunings are switched off");
  }
  if (!config.strategies.empty()) return;
  const YamlEntry* entry = node.Find("strategies");
  const Reader::Step step(reader, "strategies");
  reader.Error(entry == nullptr ? node.pos : entry->value->pos, "at least one strategy is needed");
}

ObjectSchema MakeAutoround() {
  SchemaBuilder<AutoroundConfig> b("autoround_quant", "Trains rounding and ranges block by block (AutoRound).",
                                   "逐块训练取整与取值范围（AutoRound）。");
  b.Field("iters", &AutoroundConfig::iters, "Training steps per block.", "每个块的训练步数。").Rule(Above(0));
  b.Field("enable_round_tuning", &AutoroundConfig::enable_round_tuning, "Train rounding offsets.", "训练取整偏移。");
  b.Field("enable_minmax_tuning", &AutoroundConfig::enable_minmax_tuning, "Train range multipliers.",
          "训练取值范围系数。");
  b.Field("strategies", &AutoroundConfig::strategies, "At least one; the first that matches a layer has it.",
          "至少一项；一个层由第一个匹配的策略负责。");
  b.Check(CheckAutoround);
  return b.Build();
}

ObjectSchema MakeSvdRes() {
  SchemaBuilder<SvdResConfig> b("svd_res", "Keeps a low-rank float part of each weight.",
                                "为每个权重保留低秩浮点残差。");
  b.Field("rank", &SvdResConfig::rank, "Rank of the part.", "低秩部分的秩。").Rule(Above(0));
  b.Selection(&SvdResConfig::select, false, "Patterns of linear layers.", "线性层的名称模式。");
  return b.Build();
}

void WarnLoad(Reader& reader, const YamlNode& node, LoadConfig&) {
  reader.Warn(node.pos, "load has no effect here: blocks are read and dropped as they are needed");
}

ObjectSchema MakeLoad() {
  SchemaBuilder<LoadConfig> b("load", "Internal to the reference's runner; accepted and without effect.",
                              "参考实现的内部处理项；可以填写，但不起作用。");
  b.Field("device", &LoadConfig::device, "Device.", "设备。");
  b.Field("non_blocking", &LoadConfig::non_blocking, "Asynchronous copy.", "异步拷贝。");
  b.Field("mode", &LoadConfig::mode, "Direction.", "方向。");
  b.Field("cleanup", &LoadConfig::cleanup, "Free memory afterwards.", "之后释放内存。");
  b.Field("post_offload", &LoadConfig::post_offload, "Move back afterwards.", "之后移回。");
  b.Check(WarnLoad);
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(LinearQuantConfig, MakeLinearQuant)
MODELSLIM_TABLE(GroupConfig, MakeGroup)
MODELSLIM_TABLE(DynamicCacheConfig, MakeDynamicCache)
MODELSLIM_TABLE(Fa3Details, MakeFa3Details)
MODELSLIM_TABLE(Fa3Config, MakeFa3)
MODELSLIM_TABLE(FloatSparseConfig, MakeFloatSparse)
MODELSLIM_TABLE(AutoroundStrategy, MakeStrategy)
MODELSLIM_TABLE(AutoroundConfig, MakeAutoround)
MODELSLIM_TABLE(SvdResConfig, MakeSvdRes)
MODELSLIM_TABLE(LoadConfig, MakeLoad)

}  // namespace modelslim
