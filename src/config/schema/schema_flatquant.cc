// Table of flatquant. Only the patterns are the user's: 26.1.0 declares the numbers of its training as keys and then
// refuses every value that is not the default.
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

using Text = std::string;

void ReadStrategies(Reader& reader, const YamlNode& node, FlatquantConfig&) {
  if (node.kind != YamlKind::kSequence) return reader.WrongType(node, "an empty list");
  if (node.items.empty()) return reader.Record(node.pos, "[]");
  Remark remark;
  remark.expected = "[]";
  remark.found = FoundText(node);
  remark.tip = "leave the key out";
  reader.Error(node.pos, "the value of strategies cannot be changed", std::move(remark));
}

void ActivationFields(SchemaBuilder<FlatquantConfig>& b) {
  b.Fixed("a_bits", int64_t{4}, "Bits of an activation in training.", "训练时激活的位宽。");
  b.Fixed("a_groupsize", int64_t{-1}, "Group of an activation in training; -1: none.",
          "训练时激活的分组大小；-1 表示不分组。");
  b.Fixed("a_asym", false, "Asymmetric activations in training.", "训练时激活是否为非对称量化。");
  b.Fixed("a_per_tensor", false, "One range for a whole activation in training.", "训练时激活是否按张量量化。");
}

void WeightFields(SchemaBuilder<FlatquantConfig>& b) {
  b.Fixed("w_bits", int64_t{4}, "Bits of a weight in training.", "训练时权重的位宽。");
  b.Fixed("w_groupsize", int64_t{-1}, "Group of a weight in training; -1: none.",
          "训练时权重的分组大小；-1 表示不分组。");
  b.Fixed("w_asym", false, "Asymmetric weights in training.", "训练时权重是否为非对称量化。");
}

void TrainingFields(SchemaBuilder<FlatquantConfig>& b) {
  b.Fixed("epochs", int64_t{10}, "Passes over the samples.", "训练轮数。");
  b.Fixed("nsamples", std::optional<int64_t>(), "Samples of the training; null: all.",
          "训练使用的样本数；null 表示全部。");
  b.Fixed("cali_bsz", int64_t{4}, "Samples of one step.", "每一步的样本数。");
  b.Fixed("flat_lr", 1e-3, "Learning rate.", "学习率。");
  b.Fixed("add_diag", true, "Train a scale for every channel.", "是否训练逐通道缩放。");
  b.Fixed("lwc", true, "Train the range of weights.", "是否训练权重取值范围。");
  b.Fixed("lac", true, "Train the range of activations.", "是否训练激活取值范围。");
  b.Fixed("diag_init", Text("one_style"), "What the scales begin with.", "缩放系数的初始化方式。");
  b.Fixed("diag_alpha", 0.3, "Exponent of scales that begin with statistics.", "按统计量初始化缩放系数时的指数。");
  b.Fixed("warmup", true, "Begin with a small learning rate.", "是否启用学习率预热。");
  b.Fixed("deactive_amp", true, "Train in float32.", "是否以 float32 训练。");
  b.Fixed("tran_type", Text("svd"), "Form of the transforms.", "变换矩阵的形式。");
}

ObjectSchema MakeFlatquant() {
  SchemaBuilder<FlatquantConfig> b("flatquant", "FlatQuant transforms.", "FlatQuant 变换。");
  b.Selection(&FlatquantConfig::select, false, "Patterns of linear layers.", "线性层的名称模式。");
  b.Custom("strategies", {.type = ValueType::kFreeMapping, .list = true, .words = {}}, "Must be empty.", "必须为空。",
           ReadStrategies)
      .WhenAbsent("empty", "空");
  b.Fixed("seed", int64_t{0}, "Of the training.", "训练的随机种子。");
  b.Fixed("diag_relu", true, "Keeps singular values above zero.", "使奇异值保持为正。");
  b.Fixed("amp_dtype", Text("bfloat16"), "Type of mixed-precision training.", "混合精度训练的数据类型。");
  ActivationFields(b);
  WeightFields(b);
  TrainingFields(b);
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(FlatquantConfig, MakeFlatquant)

}  // namespace modelslim
