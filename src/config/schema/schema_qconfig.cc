// Tables of qconfig, its two halves and their ext.
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

void NoteExtKeys(Reader&, const YamlNode& node, QConfig& q) {
  const YamlEntry* ext = node.Find("ext");
  if (ext == nullptr) return;
  for (const YamlEntry& entry : ext->value->entries) q.ext_keys.push_back({entry.key, entry.key_pos});
}

// As many divisors as a search may try: it quantizes the whole matrix with each.
constexpr double kMostDivisors = 1000;

void CheckCeilXSearch(Reader& reader, const YamlNode& node, QConfigExt& ext) {
  if (!ext.enable_search) return;
  const auto fail = [&](std::string_view key, std::string message, std::string found) {
    const YamlEntry* entry = node.Find(key);
    const Reader::Step step(reader, key);
    Remark remark;
    remark.found = std::move(found);
    remark.tip = "leave search_min, search_max and search_step out for 6, 6.25, ..., 12";
    reader.Error(entry == nullptr ? node.pos : entry->value->pos, std::move(message), std::move(remark));
  };
  if (!(ext.search_max > ext.search_min)) {
    return fail(node.Find("search_max") == nullptr ? "search_min" : "search_max",
                "search_max must be greater than search_min",
                NumberText(ext.search_min) + " to " + NumberText(ext.search_max));
  }
  const double count = (ext.search_max - ext.search_min) / ext.search_step;
  if (!(count <= kMostDivisors)) {
    fail("search_step", "the search would try too many divisors; expected at most " + NumberText(kMostDivisors),
         NumberText(ext.search_step));
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
  b.Field("ceil_x_value", &QConfigExt::ceil_x_value,
          "ceil_x: what the largest magnitude of a block is divided by before the exponent is rounded up.",
          "ceil_x：块内最大绝对值先除以该值，再对指数向上取整。")
      .Rule(Closed(6, 12))
      .Since26();
  b.Field(
       "enable_search", &QConfigExt::enable_search,
       "ceil_x: try divisors from search_min to search_max for each matrix, and keep the one with the smallest error.",
       "ceil_x：对每个矩阵在 search_min 到 search_max 之间搜索误差最小的除数。")
      .Since26();
  b.Field("search_min", &QConfigExt::search_min, "ceil_x with enable_search: the first divisor.",
          "ceil_x 且 enable_search：搜索的起点。")
      .Rule(Closed(6, 12))
      .Since26();
  b.Field("search_max", &QConfigExt::search_max, "ceil_x with enable_search: end of the range.",
          "ceil_x 且 enable_search：搜索的终点。")
      .Rule(Closed(6, 12))
      .Since26();
  b.Field("search_step", &QConfigExt::search_step, "ceil_x with enable_search: distance of the divisors.",
          "ceil_x 且 enable_search：搜索的步长。")
      .Rule(Above(0))
      .Since26();
  b.Check(CheckCeilXSearch);
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
  b.Check(NoteExtKeys);
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
