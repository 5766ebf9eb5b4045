#include "format/ascend_v1.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/error.h"
#include "format/ascend_v1_write.h"
#include "quant/weights/weight_quantizer.h"

namespace modelslim {
namespace {

PlannedLinear Linear(QuantMode mode, bool bias = true) {
  PlannedLinear linear;
  linear.name = "model.layers.0.mlp.up_proj";
  linear.mode = mode;
  linear.out = 2, linear.in = 64;
  linear.has_bias = bias;
  return linear;
}

const OutputTensor* Find(const std::vector<OutputTensor>& tensors, const std::string& suffix) {
  for (const OutputTensor& tensor : tensors) {
    if (tensor.name.ends_with("." + suffix)) return &tensor;
  }
  return nullptr;
}

TEST(AscendTensors, StaticTypeFollowsTheModelType) {
  const auto bf16 = AscendTensors(Linear(QuantMode::kW8A8), DType::kBF16, {});
  EXPECT_EQ(Find(bf16, "deq_scale")->dtype, DType::kF32);
  EXPECT_EQ(Find(bf16, "bias")->type, "FLOAT");
  EXPECT_EQ(Find(bf16, "quant_bias")->type, "W8A8");
  EXPECT_EQ(Find(bf16, "weight_scale"), nullptr);
  const auto f16 = AscendTensors(Linear(QuantMode::kW8A8), DType::kF16, {});
  EXPECT_EQ(Find(f16, "deq_scale")->dtype, DType::kI64);
  const auto december = AscendTensors(Linear(QuantMode::kW8A8), DType::kF16, {.december_2025 = true});
  EXPECT_EQ(Find(december, "deq_scale")->dtype, DType::kF32);
  EXPECT_EQ(Find(december, "bias")->type, "W8A8");
}

TEST(AscendTensors, PackedTypesRefuseOddShapes) {
  PlannedLinear linear = Linear(QuantMode::kW4A8Dynamic);
  linear.out = 3;
  EXPECT_THROW(AscendTensors(linear, DType::kBF16, {}), Error);
  linear = Linear(QuantMode::kW4A8Dynamic);
  linear.name = "model.layers.0.mlp.down_proj", linear.in = 40;
  EXPECT_THROW(AscendTensors(linear, DType::kBF16, {}), Error);
  linear = Linear(QuantMode::kW4A4MXFP4);
  linear.in = 33;
  EXPECT_THROW(AscendTensors(linear, DType::kBF16, {}), Error);
}

TEST(ModelQuantType, TakesTheHighestAndIgnoresW4A8) {
  EXPECT_EQ(ModelQuantType({QuantMode::kW8A8Dynamic, QuantMode::kW8A8, QuantMode::kFloat}, {}), "W8A8");
  EXPECT_EQ(ModelQuantType({QuantMode::kW8A8Dynamic, QuantMode::kW8A8}, {.december_2025 = true}), "W8A8_DYNAMIC");
  EXPECT_EQ(ModelQuantType({QuantMode::kW4A8Dynamic, QuantMode::kFloat}, {}), "FLOAT");
  EXPECT_EQ(ModelQuantType({QuantMode::kW4A8Dynamic}, {}), "Unknown");
}

// What is written is what was planned, for every type that weights alone can become.
TEST(WriteAscendLinear, MakesExactlyThePlannedTensors) {
  Tensor w(DType::kF32, {2, 64});
  for (int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] = static_cast<float>((i * 37) % 101 - 50) / 50.0f;
  Tensor bias(DType::kF32, {2});
  bias.as<float>()[0] = 0.5f, bias.as<float>()[1] = -0.25f;
  const std::pair<QuantMode, WeightSpec> cases[] = {
      {QuantMode::kW8A8, {}},
      {QuantMode::kW8A8Mix, {}},
      {QuantMode::kW8A8Dynamic, {}},
      {QuantMode::kW8A16, {}},
      {QuantMode::kW4A8Dynamic, {.format = ElementFormat::kInt4}},
      {QuantMode::kWFP8AFP8Dynamic, {.format = ElementFormat::kFp8E4M3}},
      {QuantMode::kW8A8MXFP8, {.scope = WeightScope::kPerBlock, .format = ElementFormat::kMxFp8}},
      {QuantMode::kW4A4MXFP4, {.scope = WeightScope::kPerBlock, .format = ElementFormat::kMxFp4}}};
  for (const auto& [mode, spec] : cases) {
    for (const DType model : {DType::kBF16, DType::kF32}) {
      std::map<std::string, std::pair<DType, Shape>> made;
      QuantizedLinear linear;
      linear.name = Linear(mode).name;
      linear.mode = mode;
      linear.weight = QuantizeWeight(w.view(), spec);
      linear.input = AffineParams{0.01f, -77.0f, DType::kF32};
      linear.bias = std::as_const(bias).view();
      WriteAscendLinear(std::move(linear), model, {}, [&](const std::string& name, Tensor value) {
        EXPECT_TRUE(made.emplace(name, std::pair(value.dtype(), value.shape())).second) << name;
      });
      const auto planned = AscendTensors(Linear(mode), model, {});
      EXPECT_EQ(planned.size(), made.size()) << QuantModeName(mode);
      for (const OutputTensor& tensor : planned) {
        ASSERT_TRUE(made.count(tensor.name)) << QuantModeName(mode) << " " << tensor.name;
        EXPECT_EQ(made[tensor.name], std::pair(tensor.dtype, tensor.shape))
            << QuantModeName(mode) << " " << tensor.name;
      }
    }
  }
}

TEST(Description, ListsTypesAndGlobals) {
  const OutputLayout layout =
      LayOut({{"a.weight", DType::kI8, {1}, "W8A8", 0, 0, 0}, {"a.heads_rotation", DType::kF32, {1}, "", 0, 0, 0}}, {});
  DescriptionGlobals globals;
  globals.model_quant_type = "W8A8";
  EXPECT_EQ(DescriptionJson(layout, globals, {}),
            "{\n    \"a.weight\": \"W8A8\",\n    \"version\": \"1.0.0\",\n    \"model_quant_type\": \"W8A8\",\n"
            "    \"metadata\": {},\n    \"group_size\": 0,\n    \"optional\": {}\n}");
}

}  // namespace
}  // namespace modelslim
