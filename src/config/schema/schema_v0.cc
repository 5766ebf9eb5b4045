// Tables of the modelslim_v0 spec.
#include "config/recipe/v0_rules.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

constexpr std::string_view kByService = "the service supplies it itself";
constexpr std::string_view kChained = "it exists only in chained Python calls of the old interface, and not in recipes";

ObjectSchema MakeFlex() {
  SchemaBuilder<V0FlexConfig> b("v0 flex_config", "Exponents of m6.", "m6 的指数。");
  b.Field("alpha", &V0FlexConfig::alpha, "Exponent of the activation statistic.", "激活统计量的指数。")
      .WhenAbsent("searched", "自动搜索");
  b.Field("beta", &V0FlexConfig::beta, "Exponent of the weight statistic.", "权重统计量的指数。")
      .WhenAbsent("searched", "自动搜索");
  return b.Build();
}

ObjectSchema MakeAnti() {
  SchemaBuilder<V0AntiConfig> b("v0 anti_cfg", "Outlier suppression; left out or null: none.",
                                "离群值抑制；省略或 null 表示不做。");
  b.Field("anti_method", &V0AntiConfig::anti_method,
          "m1 SmoothQuant, m2 outlier suppression, m3 AWQ, m4 iterative smoothing, m5 CBQ, m6 flexible smoothing.",
          "m1 SmoothQuant、m2 离群值抑制、m3 AWQ、m4 迭代平滑、m5 CBQ、m6 灵活平滑。");
  b.Field("w_bit", &V0AntiConfig::w_bit, "Bits of a weight.", "权重位数。").Rule(OneOf({4, 8}));
  b.Field("a_bit", &V0AntiConfig::a_bit, "Bits of an activation; 16 only with m3.", "激活位数；16 仅用于 m3。")
      .Rule(OneOf({8, 16}));
  b.Field("w_sym", &V0AntiConfig::w_sym, "Symmetric weights; false only with m3.", "权重对称；false 仅用于 m3。");
  b.Field("dev_id", &V0AntiConfig::dev_id, "Accepted and unused.", "可以填写，但不使用。").Nullable();
  b.Field("disable_anti_names", &V0AntiConfig::disable_anti_names,
          "Exact module names whose smoothing group is left alone (m3, m4, m6).",
          "其平滑组保持不变的模块全名（m3、m4、m6）。");
  b.Field("flex_config", &V0AntiConfig::flex_config, "Exponents of m6.", "m6 的指数。")
      .Nullable()
      .WhenAbsent("searched", "自动搜索");
  b.Refuse("dev_type", kByService);
  b.Check(CheckV0Anti);
  return b.Build();
}

ObjectSchema MakeAntiParams() {
  SchemaBuilder<V0AntiParams> b("v0 anti_params", "Further arguments of outlier suppression.",
                                "离群值抑制的其他参数。");
  b.Field("norm_class_name", &V0AntiParams::norm_class_name, "Class name of the norms.", "归一化层的类名。")
      .Nullable()
      .WhenAbsent("found by itself", "自动识别");
  for (const char* key : {"model", "cfg", "calib_data"}) b.Refuse(key, kByService);
  return b.Build();
}

// The reference takes any value that Python counts as true.
void ReadFaQuant(Reader& reader, const YamlNode& node, V0CalibConfig& config) {
  switch (node.kind) {
    case YamlKind::kNull:
      config.use_fa_quant = false;
      break;
    case YamlKind::kBool:
      config.use_fa_quant = node.boolean;
      break;
    case YamlKind::kInt:
    case YamlKind::kFloat:
      config.use_fa_quant = node.number != 0;
      break;
    case YamlKind::kString:
      config.use_fa_quant = !node.text.empty();
      break;
    default:
      reader.WrongType(node, "true or false");
      return;
  }
  reader.Record(node.pos, config.use_fa_quant ? "true" : "false");
}

void CalibBits(SchemaBuilder<V0CalibConfig>& b) {
  b.Field("w_bit", &V0CalibConfig::w_bit, "Bits of a weight.", "权重位数。");
  b.Field("a_bit", &V0CalibConfig::a_bit, "Bits of an activation.", "激活位数。");
  b.Field("disable_names", &V0CalibConfig::disable_names, "Exact names of modules that stay float; no wildcards.",
          "保持浮点的模块全名，不支持通配符。")
      .Nullable();
  b.Field("disable_last_linear", &V0CalibConfig::disable_last_linear,
          "The last linear layer (usually lm_head) stays float, too.", "最后一个线性层（通常是 lm_head）也保持浮点。");
  b.Field("act_method", &V0CalibConfig::act_method, "1 min-max, 2 histogram, 3 automatic per layer.",
          "1 min-max，2 直方图，3 逐层自动选择。")
      .Rule(OneOf({1, 2, 3}));
  b.Field("w_method", &V0CalibConfig::w_method, "Weight quantizer; MinMax for W8A8 and W8A8S.",
          "权重量化方法；W8A8 与 W8A8S 只能用 MinMax。");
  b.Field("w_sym", &V0CalibConfig::w_sym, "Symmetric weights; false needs a_bit other than 8.",
          "权重对称；false 要求 a_bit 不为 8。");
  b.Field("mm_tensor", &V0CalibConfig::mm_tensor, "One weight scale per tensor (true) or per output channel (false).",
          "权重缩放因子按张量（true）或按输出通道（false）。");
  b.Field("pr", &V0CalibConfig::pr, "Probability of quantizing an element while calibrating; >= 1: always.",
          "校准时逐元素量化的概率；不小于 1 表示始终量化。");
  b.Field("is_dynamic", &V0CalibConfig::is_dynamic, "Activation scales per token at run time.",
          "运行时逐 token 计算激活缩放因子。");
}

void CalibSparse(SchemaBuilder<V0CalibConfig>& b) {
  b.Field("co_sparse", &V0CalibConfig::co_sparse, "Sparse quantization; sets 4 and 8 bits.", "稀疏量化；强制 w4a8。");
  b.Field("is_lowbit", &V0CalibConfig::is_lowbit, "Low-bit algorithm; wins over co_sparse.",
          "低比特算法；优先于 co_sparse。");
  b.Field("do_smooth", &V0CalibConfig::do_smooth, "Low-bit: smooth activations, too.", "低比特：同时平滑激活。");
  b.Field("use_sigma", &V0CalibConfig::use_sigma, "Low-bit: outliers by sigma_factor instead of fraction.",
          "低比特：按 sigma_factor 而非 fraction 选取离群值。");
  b.Field("sigma_factor", &V0CalibConfig::sigma_factor, "Standard deviations beyond which a weight is an outlier.",
          "超过多少倍标准差视为离群值。")
      .Rule(Closed(3, 4));
  b.Field("fraction", &V0CalibConfig::fraction, "Share of weights protected as outliers.", "作为离群值保护的权重比例。")
      .Rule(Closed(0.01, 0.1));
  b.Field("nonuniform", &V0CalibConfig::nonuniform, "Power-function quantizer in sparse mode.",
          "稀疏模式下使用幂函数量化器。");
  b.Field("open_outlier", &V0CalibConfig::open_outlier, "Low-bit: split off weight outliers; false: per-group mode.",
          "低比特：分离权重离群值；false 为 per-group 模式。");
  b.Field("group_size", &V0CalibConfig::group_size, "Per-group mode: 32, 64, 128 or 256.",
          "per-group 模式：32、64、128 或 256。");
  b.Field("percdamp", &V0CalibConfig::percdamp, "GPTQ: damping.", "GPTQ：阻尼系数。").Rule(Closed(0, 1));
}

ObjectSchema MakeCalib() {
  SchemaBuilder<V0CalibConfig> b("v0 calib_cfg", "Quantization.", "量化参数。");
  CalibBits(b);
  CalibSparse(b);
  b.Field("use_kvcache_quant", &V0CalibConfig::use_kvcache_quant, "int8 KV cache.", "int8 KV cache。");
  b.Field("pdmix", &V0CalibConfig::pdmix, "W8A8 only: dynamic in prefill, static in decode (W8A8_MIX).",
          "仅 W8A8：prefill 动态、decode 静态（W8A8_MIX）。");
  b.Field("dev_id", &V0CalibConfig::dev_id, "Accepted and unused.", "可以填写，但不使用。").Nullable();
  b.Custom("use_fa_quant", {.type = ValueType::kBool, .words = {}}, "Quantize the attention (FA3).",
           "量化注意力（FA3）。", ReadFaQuant);
  b.Field("fa_amp", &V0CalibConfig::fa_amp, "FA3: attention layers that are rolled back.",
          "FA3：自动回退的注意力层数。")
      .Rule(AtLeast(0));
  b.Refuse("dev_type", kByService);
  for (const char* key : {"tp_size", "kv_sym", "max_dynamic_step", "block_size", "model_type"}) b.Refuse(key, kChained);
  b.Check(CheckV0Calib);
  return b.Build();
}

void ReadDisableLevel(Reader& reader, const YamlNode& node, V0CalibParams& params) {
  const std::string_view text = node.text;
  const bool digits = text.size() > 1 && text.size() < 8 && text.find_first_not_of("0123456789", 1) == text.npos;
  if (node.kind == YamlKind::kString && digits && text[0] == 'L' && (text.size() == 2 || text[1] != '0')) {
    params.disable_level = std::stoll(std::string(text.substr(1)));
    return reader.Record(node.pos, std::string(text));
  }
  Remark remark;
  remark.expected = "L0, L1, L2, ...";
  remark.found = FoundText(node);
  if (node.kind == YamlKind::kInt && node.integer_ok && node.integer >= 0)
    remark.tip = "write L" + std::to_string(node.integer);
  reader.Error(node.pos, "unknown level", std::move(remark));
}

void ReadMix(Reader& reader, const YamlNode& node, V0CalibParams& params) {
  if (node.kind != YamlKind::kMapping) return reader.WrongType(node, "a mapping of patterns to types");
  for (const YamlEntry& entry : node.entries) {
    const Reader::Step step(reader, entry.key);
    V0MixType type{};
    FieldSpec field;
    if (!Codec<V0MixType>::Read(reader, *entry.value, field, type)) continue;
    params.mix_cfg.push_back({entry.key, type, entry.value->pos});
    reader.Record(entry.value->pos, std::string(EnumName(type)));
  }
}

void ReadAllTensors(Reader& reader, const YamlNode& node, V0CalibParams&) {
  if (node.kind != YamlKind::kNull) reader.Error(node.pos, "tensors cannot be written in a recipe", {});
}

ObjectSchema MakeCalibParams() {
  SchemaBuilder<V0CalibParams> b("v0 calib_params", "Further arguments of the calibration.", "校准的其他参数。");
  b.Custom("disable_level", {.type = ValueType::kString, .words = {}}, "L<n>: the n most sensitive layers stay float.",
           "L<n>：最敏感的 n 层保持浮点。", ReadDisableLevel);
  b.Custom("mix_cfg", {.type = ValueType::kFreeMapping, .words = {}},
           "Pattern to type (w8a8, w8a16, w8a8_dynamic, w4a8_dynamic, float); the first match counts, no braces.",
           "模式到类型（w8a8、w8a16、w8a8_dynamic、w4a8_dynamic、float）的映射；取第一个匹配，不支持花括号。", ReadMix)
      .Nullable();
  b.Custom("all_tensors", {.type = ValueType::kFreeMapping, .words = {}}, "Leave it null.", "保持为 null。",
           ReadAllTensors);
  for (const char* key : {"model", "cfg", "calib_data"}) b.Refuse(key, kByService);
  return b.Build();
}

ObjectSchema MakeSave() {
  SchemaBuilder<V0SaveParams> b("v0 calib_save_params", "Output files.", "输出文件。");
  b.Field("part_file_size", &V0SaveParams::part_file_size, "Size of a weight file in GiB; left out: one file.",
          "单个权重文件的大小，单位 GiB；省略则只写一个文件。")
      .Nullable()
      .Rule(AtLeast(1))
      .WhenAbsent("one file", "单个文件");
  b.Field("safetensors_name", &V0SaveParams::safetensors_name, "File name.", "文件名。")
      .Nullable()
      .NotBlank()
      .WhenAbsent("quant_model_weight_<type>.safetensors", "quant_model_weight_<类型>.safetensors");
  for (const char* key : {"output_path", "json_name", "save_type"}) b.Refuse(key, kByService);
  return b.Build();
}

ObjectSchema MakeSpec() {
  SchemaBuilder<V0Spec> b("modelslim_v0 spec",
                          "Text models, by the parameters of the old Python interface. Deprecated.",
                          "文本模型，使用旧 Python 接口的参数。已不推荐。");
  b.Unknown(UnknownKeys::kWarn);
  b.Field("anti_cfg", &V0Spec::anti_cfg, "Outlier suppression.", "离群值抑制。").Nullable().WhenAbsent("none", "无");
  b.Field("anti_params", &V0Spec::anti_params, "Further arguments of outlier suppression.", "离群值抑制的其他参数。");
  b.Field("calib_cfg", &V0Spec::calib_cfg, "Quantization.", "量化参数。");
  b.Field("calib_params", &V0Spec::calib_params, "Further arguments of the calibration.", "校准的其他参数。");
  b.Field("calib_save_params", &V0Spec::calib_save_params, "Output files.", "输出文件。");
  b.Field("batch_size", &V0Spec::batch_size, "Samples per batch of anti_dataset.", "anti_dataset 每批样本数。")
      .Rule(AtLeast(1));
  b.Field("anti_dataset", &V0Spec::anti_dataset, "Calibration set of outlier suppression.", "离群值抑制的校准集。")
      .Nullable()
      .WhenAbsent("calib_dataset", "calib_dataset");
  b.Field("calib_dataset", &V0Spec::calib_dataset, "Calibration set; null: no data.", "校准集；null 表示不使用数据。")
      .Nullable();
  b.Check(CheckV0Spec);
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(V0FlexConfig, MakeFlex)
MODELSLIM_TABLE(V0AntiConfig, MakeAnti)
MODELSLIM_TABLE(V0AntiParams, MakeAntiParams)
MODELSLIM_TABLE(V0CalibConfig, MakeCalib)
MODELSLIM_TABLE(V0CalibParams, MakeCalibParams)
MODELSLIM_TABLE(V0SaveParams, MakeSave)
MODELSLIM_TABLE(V0Spec, MakeSpec)

}  // namespace modelslim
