#include "format/ascend_v1/ascend_v1.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/error.h"
#include "format/ascend_v1/description.h"
#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "quant/weights/weight_quantizer.h"

namespace modelslim::ascend_v1 {
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

TEST(PlanLinear, StaticTypeFollowsTheModelType) {
  const auto bf16 = PlanLinear(Linear(QuantMode::kW8A8), DType::kBF16, {});
  EXPECT_EQ(Find(bf16, "deq_scale")->dtype, DType::kF32);
  EXPECT_EQ(Find(bf16, "bias")->type, "FLOAT");
  EXPECT_EQ(Find(bf16, "quant_bias")->type, "W8A8");
  EXPECT_EQ(Find(bf16, "weight_scale"), nullptr);
  const auto f16 = PlanLinear(Linear(QuantMode::kW8A8), DType::kF16, {});
  EXPECT_EQ(Find(f16, "deq_scale")->dtype, DType::kI64);
  const auto december = PlanLinear(Linear(QuantMode::kW8A8), DType::kF16, {.december_2025 = true});
  EXPECT_EQ(Find(december, "deq_scale")->dtype, DType::kF32);
  EXPECT_EQ(Find(december, "bias")->type, "W8A8");
}

TEST(PlanLinear, PackedTypesRefuseOddShapes) {
  PlannedLinear linear = Linear(QuantMode::kW4A8Dynamic);
  linear.out = 3;
  EXPECT_THROW(PlanLinear(linear, DType::kBF16, {}), Error);
  linear = Linear(QuantMode::kW4A8Dynamic);
  linear.name = "model.layers.0.mlp.down_proj", linear.in = 40;
  EXPECT_THROW(PlanLinear(linear, DType::kBF16, {}), Error);
  linear = Linear(QuantMode::kW4A4MXFP4);
  linear.in = 33;
  EXPECT_THROW(PlanLinear(linear, DType::kBF16, {}), Error);
}

TEST(ModelQuantType, TakesTheHighestAndIgnoresW4A8) {
  EXPECT_EQ(ModelQuantType({QuantMode::kW8A8Dynamic, QuantMode::kW8A8, QuantMode::kFloat}, {}), "W8A8");
  EXPECT_EQ(ModelQuantType({QuantMode::kW8A8Dynamic, QuantMode::kW8A8}, {.december_2025 = true}), "W8A8_DYNAMIC");
  EXPECT_EQ(ModelQuantType({QuantMode::kW4A8Dynamic, QuantMode::kFloat}, {}), "FLOAT");
  EXPECT_EQ(ModelQuantType({QuantMode::kW4A8Dynamic}, {}), "Unknown");
}

// What is written is what was planned, for every type that weights alone can become.
TEST(WriteLinear, MakesExactlyThePlannedTensors) {
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
      WriteLinear(std::move(linear), model, {}, [&](const std::string& name, Tensor value) {
        EXPECT_TRUE(made.emplace(name, std::pair(value.dtype(), value.shape())).second) << name;
      });
      const auto planned = PlanLinear(Linear(mode), model, {});
      EXPECT_EQ(planned.size(), made.size()) << QuantModeName(mode);
      for (const OutputTensor& tensor : planned) {
        ASSERT_TRUE(made.count(tensor.name)) << QuantModeName(mode) << " " << tensor.name;
        EXPECT_EQ(made[tensor.name], std::pair(tensor.dtype, tensor.shape))
            << QuantModeName(mode) << " " << tensor.name;
      }
    }
  }
}

// The same for what steps add beside weights.
TEST(WriteFact, MakesExactlyThePlannedTensors) {
  const auto table = [](int64_t size) {
    return AffineTable{ParamAxis::kTensor, DType::kBF16, std::vector<float>(size, 0.5f), {}, 0};
  };
  std::vector<std::pair<PlannedFact, Fact>> cases;
  cases.emplace_back(PlannedFact{"a", PlannedKvScales{"a.k_proj", "a.v_proj", 3, 5, DType::kBF16, DType::kBF16}},
                     KvScales{"a.k_proj", "a.v_proj", table(3), table(5)});
  cases.emplace_back(PlannedFact{"a", PlannedFaScales{4}}, FaScales{table(4), table(1), table(1)});
  for (const RotationRole role :
       {RotationRole::kHeads, RotationRole::kKroneckerLeft, RotationRole::kKroneckerRight, RotationRole::kSite}) {
    cases.emplace_back(PlannedFact{"a", PlannedRotation{role, "a.q_rot", 2, 4}},
                       OnlineRotation{role, "a.q_rot", Tensor::Zeros(DType::kF32, {2, 2})});
  }
  cases.emplace_back(PlannedFact{kWholeModel, PlannedGlobalRotation{2}},
                     GlobalRotation{Tensor::Zeros(DType::kF32, {2, 2})});
  std::map<std::string, int> names;
  for (auto& [planned, fact] : cases) {
    std::vector<std::string> made;
    const std::vector<OutputTensor> tensors = PlanFact(planned);
    WriteFact(planned.module, std::move(fact), [&](const std::string& name, const Tensor& value) {
      ASSERT_LT(made.size(), tensors.size());
      EXPECT_EQ(name, tensors[made.size()].name);
      EXPECT_EQ(value.dtype(), tensors[made.size()].dtype) << name;
      EXPECT_EQ(value.shape(), tensors[made.size()].shape) << name;
      made.push_back(name);
    });
    EXPECT_EQ(made.size(), tensors.size());
    for (const std::string& name : made) EXPECT_EQ(++names[name], 1) << name;
  }
  EXPECT_EQ(names.size(), 4u + 6u + 4u + 1u);
}

TEST(Description, ListsTypesAndGlobals) {
  const OutputLayout layout =
      LayOut({{"a.weight", DType::kI8, {1}, "W8A8"}, {"a.heads_rotation", DType::kF32, {1}, ""}}, {kWeightsStem});
  DescriptionGlobals globals;
  globals.model_quant_type = "W8A8";
  EXPECT_EQ(DescriptionJson(layout, globals, {}),
            "{\n    \"a.weight\": \"W8A8\",\n    \"version\": \"1.0.0\",\n    \"model_quant_type\": \"W8A8\",\n"
            "    \"metadata\": {},\n    \"group_size\": 0,\n    \"optional\": {}\n}");
}

}  // namespace
}  // namespace modelslim::ascend_v1
