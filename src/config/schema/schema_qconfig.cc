// Tables of qconfig, its two halves and their ext.
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

struct ExtUse {
  std::string_view key;
  std::string_view used_by;
  bool (*used)(const QConfig&);
};

bool IsMx(const QConfig& q) { return q.dtype == QDType::kMxfp8 || q.dtype == QDType::kMxfp4; }
bool IsGptq(const QConfig& q) { return q.method == "gptq"; }

// Whether a key of ext has an effect; the reference ignores the others silently, here they are warned about. autoround
// takes any method, so that a group size or scale dtype is doubtful only with the methods that are known to ignore it.
constexpr ExtUse kExtUses[] = {
    {"step", "method ssz", [](const QConfig& q) { return q.method == "ssz"; }},
    {"axes", "the MX data types", IsMx},
    {"group_size", "scope per_group",
     [](const QConfig& q) { return q.scope == QScope::kPerGroup || (q.method != "ssz" && !IsGptq(q)); }},
    {"scale_dtype", "autoround_quant weights",
     [](const QConfig& q) { return q.method != "ssz" && q.method != "gptq"; }},
    {"percdamp", "method gptq", IsGptq},
    {"block_size", "method gptq", IsGptq},
    {"aggregation_type", "static minmax activations",
     [](const QConfig& q) {
       return q.method == "minmax" && (q.scope == QScope::kPerTensor || q.scope == QScope::kPdMix);
     }},
    {"dual_block_size", "method dualscale", [](const QConfig& q) { return q.method == "dualscale"; }},
};

void WarnUnusedExt(Reader& reader, const YamlNode& node, QConfig& q) {
  const YamlEntry* ext = node.Find("ext");
  if (ext == nullptr) return;
  const Reader::Step step(reader, "ext");
  for (const ExtUse& use : kExtUses) {
    const YamlEntry* entry = ext->value->Find(use.key);
    if (entry == nullptr || use.used(q)) continue;
    reader.Warn(entry->key_pos,
                std::string(use.key) + " has no effect here: it is for " + std::string(use.used_by) + " only");
  }
}

ObjectSchema MakeExt() {
  SchemaBuilder<QConfigExt> b("qconfig.ext", "Options of single methods.", "各量化方法的附加选项。");
  b.Unknown(UnknownKeys::kWarn);
  b.Field("step", &QConfigExt::step, "ssz: number of iterations.", "ssz：迭代次数。")
      .Rule(Above(0))
      .WhenAbsent("50", "50");
  b.Field("axes", &QConfigExt::axes, "MX: axis along which 32 elements share a scale; -1 is the last one.",
          "MX：每 32 个元素共享一个缩放因子的轴；-1 表示最后一维。")
      .SingleOrList()
      .WhenAbsent("-1", "-1");
  b.Field("group_size", &QConfigExt::group_size,
          "per_group: input channels that share a scale. Required by autoround_quant.",
          "per_group：共享一个缩放因子的输入通道数。autoround_quant 必填。")
      .Rule(Above(0))
      .WhenAbsent("128 with gptq", "gptq 时为 128");
  b.Field("scale_dtype", &QConfigExt::scale_dtype, "autoround_quant weights: data type of the stored scale.",
          "autoround_quant 权重：缩放因子的存储类型。");
  b.Field("percdamp", &QConfigExt::percdamp, "gptq: damping, as a share of the mean of the Hessian's diagonal.",
          "gptq：阻尼系数，占 Hessian 对角线均值的比例。")
      .Rule(AtLeast(0))
      .Since26();
  b.Field("block_size", &QConfigExt::block_size, "gptq: columns that are handled together.", "gptq：一次处理的列数。")
      .Rule(Above(0))
      .Since26();
  b.Field("aggregation_type", &QConfigExt::aggregation_type,
          "Static minmax activations: extreme values over all samples (max), or their mean over the samples (mean).",
          "静态 minmax 激活：取所有样本的极值（max），或各样本极值的均值（mean）。")
      .Since26();
  b.Field("dual_block_size", &QConfigExt::dual_block_size,
          "dualscale: columns that share an outer scale. Required there.",
          "dualscale：共享外层缩放因子的列数，该方法必填。")
      .Rule(Above(0))
      .WhenAbsent("none", "无")
      .Since26();
  return b.Build();
}

ObjectSchema MakeQConfig() {
  SchemaBuilder<QConfig> b("qconfig.half", "How one operand (act or weight) is quantized. All four keys are required.",
                           "单个操作数（act 或 weight）的量化方式，四个键均为必填。");
  b.Field("scope", &QConfig::scope, "Elements that share a scale.", "共享缩放因子的范围。").Required();
  b.Field("dtype", &QConfig::dtype, "Data type of the quantized values.", "量化后的数据类型。").Required();
  b.Field("symmetric", &QConfig::symmetric, "Whether the range is symmetric around zero (no offset).",
          "取值范围是否关于零对称（无偏移）。")
      .Required();
  b.Field("method", &QConfig::method, "How scales are found. autoround_quant accepts any text.",
          "求缩放因子的方法。autoround_quant 接受任意文本。")
      .Required();
  b.Field("ext", &QConfig::ext, "Options of the method.", "方法的附加选项。");
  b.Check(WarnUnusedExt);
  return b.Build();
}

ObjectSchema MakeLinearQConfig() {
  SchemaBuilder<LinearQConfig> b("qconfig", "How the two operands of a linear layer are quantized.",
                                 "线性层两个操作数的量化方式。");
  b.Field("act", &LinearQConfig::act, "The activation. Left out: it stays float (weight-only quantization).",
          "激活。省略时保持浮点（仅量化权重）。")
      .WhenAbsent("float", "浮点");
  b.Field("weight", &LinearQConfig::weight, "The weight.", "权重。").Required();
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(QConfigExt, MakeExt)
MODELSLIM_TABLE(QConfig, MakeQConfig)
MODELSLIM_TABLE(LinearQConfig, MakeLinearQConfig)

}  // namespace modelslim
