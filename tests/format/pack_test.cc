#include "format/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../quant/reference.h"
#include "format/ascend_v1/modes.h"
#include "quant/numbers/mx.h"
#include "quant/weights/row_kernels.h"
#include "quant/weights/weight_error.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;

Tensor Ints(Shape shape, const std::vector<int>& values) {
  Tensor tensor(DType::kI8, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) tensor.as<int8_t>()[i] = static_cast<int8_t>(values[i]);
  return tensor;
}

std::string Hex(const ConstView& tensor) {
  std::string text;
  for (size_t i = 0; i < tensor.bytes(); ++i) {
    static const char* digits = "0123456789abcdef";
    const unsigned byte = static_cast<const uint8_t*>(tensor.data)[i];
    text += digits[byte >> 4];
    text += digits[byte & 15u];
  }
  return text;
}

TEST(StaticTensors, WorkedExampleL) {
  const Tensor q = Ints({2, 4}, {64, -127, 32, 96, -126, 42, 1, -1});
  const Tensor scale = reference::Make(DType::kBF16, {2}, {0.00787353515625f, 0.023681640625f});
  const Tensor bias = reference::Make(DType::kBF16, {2}, {0.5f, -0.25f});
  const AffineParams bf16{0.0128173828125f, -30.0f, DType::kBF16}, f32{0.0128173828125f, -30.0f, DType::kF32};
  EXPECT_THAT(reference::Floats(DeqScale(bf16, scale.view()).view()),
              ElementsAre(0.0001010894775390625f, 0.0003032684326171875f));
  EXPECT_THAT(reference::Floats(DeqScale(f32, scale.view()).view()),
              ElementsAre(0.00010091811418533325f, 0.00030353665351867676f));
  const Tensor made = QuantBias(q.view(), bf16, scale.view(), bias.view());
  EXPECT_EQ(made.as<int32_t>()[0], 6910);
  EXPECT_EQ(made.as<int32_t>()[1], -3344);
  const Tensor wide = QuantBias(q.view(), f32, scale.view(), bias.view());
  EXPECT_EQ(wide.as<int32_t>()[0], 6905);
  EXPECT_EQ(wide.as<int32_t>()[1], -3344);
}

// One linear from end to end, as every reader of the format can check.
struct Layer {
  Tensor w, bias;
  QuantizedWeight quantized;
  AffineParams input;
};

Layer WorkedLayer(DType dtype) {
  Layer layer;
  layer.w = reference::Make(dtype, {2, 4}, {0.635f, -0.25f, 0.10f, 0.05f, -1.27f, 0.64f, 0.30f, -0.10f});
  layer.bias = reference::Make(dtype, {2}, {0.5f, -0.25f});
  layer.quantized = QuantizeWeight(layer.w.view(), WeightSpec{});
  layer.input = ParamsFromRange(RoundTo(dtype, -0.51f), RoundTo(dtype, 2.04f), dtype, IntFormat{8, false});
  return layer;
}

TEST(StaticTensors, WorkedLayerF32) {
  const Layer layer = WorkedLayer(DType::kF32);
  EXPECT_EQ(Hex(layer.quantized.codes.view()), "7fce140a81401ef6");
  EXPECT_THAT(reference::Floats(layer.quantized.scale.view()), ElementsAre(0.005f, 0.01f));
  EXPECT_EQ(layer.input.scale, 0.01f);
  EXPECT_EQ(layer.input.offset, -77.0f);
  Tensor deq = DeqScale(layer.input, layer.quantized.scale.view());
  EXPECT_EQ(Hex(deq.view()), "17b7513817b7d138");
  const Tensor plain = QuantBias(layer.quantized.codes.view(), layer.input, layer.quantized.scale.view(), ConstView{});
  EXPECT_EQ(plain.as<int32_t>()[0], 8239);
  EXPECT_EQ(plain.as<int32_t>()[1], -3311);
  EXPECT_EQ(
      Hex(QuantBias(layer.quantized.codes.view(), layer.input, layer.quantized.scale.view(), layer.bias.view()).view()),
      "3f4700004de9ffff");
  const Tensor wide = DeqScaleForModel(deq.Clone(), DType::kF32);
  EXPECT_EQ(Hex(wide.view()), "17b751380000000017b7d13800000000");
  EXPECT_TRUE(reference::SameBits(DeqScaleFromModel(wide.view()).view(), deq.view()));
  const Tensor negative = DeqScaleForModel(reference::Make(DType::kF32, {1}, {-1.0f}), DType::kF16);
  EXPECT_EQ(negative.as<int64_t>()[0], -1082130432);  // the sign is extended
  EXPECT_EQ(DeqScaleForModel(deq.Clone(), DType::kBF16).dtype(), DType::kF32);
  EXPECT_EQ(DeqScaleForModel(deq.Clone(), DType::kF16).dtype(), DType::kI64);
}

TEST(StaticTensors, WorkedLayerBf16) {
  const Layer layer = WorkedLayer(DType::kBF16);
  EXPECT_EQ(Hex(layer.quantized.codes.view()), "7fce140a81401ef6");
  EXPECT_EQ(layer.input.scale, 0.01007080078125f);
  EXPECT_EQ(layer.input.offset, -77.0f);
  EXPECT_EQ(Hex(DeqScale(layer.input, layer.quantized.scale.view()).view()), "000053380000d338");
  EXPECT_EQ(
      Hex(QuantBias(layer.quantized.codes.view(), layer.input, layer.quantized.scale.view(), layer.bias.view()).view()),
      "ef46000061e9ffff");
  EXPECT_EQ(
      QuantBias(layer.quantized.codes.view(), layer.input, layer.quantized.scale.view(), ConstView{}).as<int32_t>()[0],
      8239);
  const Tensor column = WeightScaleColumn(layer.quantized.scale.view());
  EXPECT_EQ(column.shape(), (Shape{2, 1}));
  EXPECT_THAT(reference::Floats(column.view()), ElementsAre(0.0050048828125f, 0.010009765625f));
}

TEST(Int4Tensors, WorkedLayer) {
  WeightSpec spec;
  spec.format = ElementFormat::kInt4;
  const QuantizedWeight weight = QuantizeWeight(WorkedLayer(DType::kF32).w.view(), spec);
  EXPECT_THAT(reference::Floats(weight.scale.view()), ElementsAre(0.0907142833f, 0.1814285666f));
  const Tensor packed = PackInt4Rows(weight.codes.view());
  EXPECT_EQ(Hex(packed.view()), "974d21f1");
  EXPECT_TRUE(reference::SameBits(UnpackInt4Rows(packed.view()).view(), weight.codes.view()));
  const Tensor bias = ScaleBias(weight.codes.view(), weight.scale.view(), ScaleBiasShape::kRow);
  EXPECT_EQ(bias.shape(), (Shape{2, 1}));
  EXPECT_FLOAT_EQ(bias.as<float>()[0], 4.3542857f);
  EXPECT_FLOAT_EQ(bias.as<float>()[1], -2.9028573f);
  EXPECT_THROW(PackInt4Rows(Ints({3, 2}, {1, 2, 3, 4, 5, 6}).view()), Error);
}

TEST(Int4Tensors, ScaleBiasByName) {
  EXPECT_EQ(ScaleBiasShapeOf("model.layers.0.mlp.up_proj"), ScaleBiasShape::kRow);
  EXPECT_EQ(ScaleBiasShapeOf("model.layers.0.mlp.experts.3.w3"), ScaleBiasShape::kRow);
  EXPECT_EQ(ScaleBiasShapeOf("model.layers.0.self_attn.o_proj"), ScaleBiasShape::kSixteenths);
  EXPECT_EQ(ScaleBiasShapeOf("model.layers.0.mlp.down_proj"), ScaleBiasShape::kSixteenths);
  EXPECT_EQ(ScaleBiasShapeOf("experts.0.w2"), ScaleBiasShape::kSixteenths);
  EXPECT_EQ(ScaleBiasShapeOf("self_attn.q_a_proj"), ScaleBiasShape::kOther);
  EXPECT_EQ(ScaleBiasShapeOf("self_attn.kv_b_proj"), ScaleBiasShape::kOther);
  EXPECT_EQ(ScaleBiasShapeOf("self_attn.qkv_proj"), ScaleBiasShape::kRow);  // holds v_proj
}

TEST(Int4Tensors, ScaleBiasShapes) {
  std::vector<int> values;
  for (int i = 0; i < 64; ++i) values.push_back(i % 16 - 8);
  const Tensor q = Ints({2, 32}, values);
  const Tensor scale = reference::Make(DType::kBF16, {2}, {0.5f, 0.25f});
  const Tensor parts = ScaleBias(q.view(), scale.view(), ScaleBiasShape::kSixteenths);
  EXPECT_EQ(parts.shape(), (Shape{2, 16}));
  EXPECT_EQ(parts.as<float>()[0], 8 * (-8 - 7) * 0.5f);
  EXPECT_EQ(parts.as<float>()[16 + 1], 8 * (-6 - 5) * 0.25f);
  const Tensor other = ScaleBias(q.view(), scale.view(), ScaleBiasShape::kOther);
  EXPECT_EQ(other.shape(), (Shape{2, 32}));
  EXPECT_EQ(other.as<float>()[1], -7 * 0.5f);
  EXPECT_THROW(ScaleBias(Ints({1, 2}, {1, 2}).view(), reference::Make(DType::kF32, {1}, {1}).view(),
                         ScaleBiasShape::kSixteenths),
               Error);
}

TEST(MxTensors, WorkedBlock) {
  std::vector<float> values = {0.75f, -0.3f, 0.1f, 0.05f, -1.3f, 0.4f, 0, -0.02f};
  values.resize(32, 0.0f);
  const Tensor w = reference::Make(DType::kF32, {1, 32}, values);
  WeightSpec spec;
  spec.scope = WeightScope::kPerBlock;
  spec.format = ElementFormat::kMxFp8;
  const QuantizedWeight fp8 = QuantizeWeight(w.view(), spec);
  EXPECT_EQ(Hex(fp8.scale.view()), "77");
  EXPECT_EQ(Hex(fp8.codes.view()).substr(0, 18), "74ea5d55fa6d00ca00");
  spec.format = ElementFormat::kMxFp4;
  const QuantizedWeight fp4 = QuantizeWeight(w.view(), spec);
  EXPECT_EQ(fp4.scale.as<uint8_t>()[0], 125);
  const Tensor packed = PackFp4Columns(fp4.codes.view());
  EXPECT_EQ(packed.shape(), (Shape{1, 16}));
  EXPECT_EQ(Hex(packed.view()).substr(0, 10), "a5013f8000");
  EXPECT_EQ(Hex(Fp4AsE4M3(fp4.codes.view()).view()).substr(0, 18), "44b83000cc3c008000");
  EXPECT_THROW(PackFp4Columns(Tensor(DType::kU8, {2, 3}).view()), Error);
}

// What is read back from the saved tensors is what the quantizer's own dequantization gives, but for the rounding of
// products to the model's dtype, which an f32 model does not have.
TEST(Saved, EveryKindComesBack) {
  const Tensor w = reference::Random(DType::kF32, {8, 64}, 6);
  const auto quantized = [&](WeightScope scope, ElementFormat format, WeightMethod method = WeightMethod::kMinMax) {
    WeightSpec spec;
    spec.scope = scope;
    spec.format = format;
    spec.method = method;
    spec.dual_block_size = 32;
    return QuantizeWeight(w.view(), spec);
  };
  const auto expect = [&](const QuantizedWeight& weight, const ascend_v1::SavedTensors& saved, QuantMode mode) {
    EXPECT_TRUE(reference::SameBits(ascend_v1::ReadWeight(saved, mode).view(), Dequantize(weight, DType::kF32).view()));
  };
  const QuantizedWeight int8 = quantized(WeightScope::kPerChannel, ElementFormat::kInt8);
  const Tensor int8_scale = WeightScaleColumn(int8.scale.view()), zeros = Tensor::Zeros(DType::kF32, {8, 1});
  ascend_v1::SavedTensors saved;
  saved.weight = int8.codes.view();
  saved.weight_scale = int8_scale.view();
  saved.weight_offset = zeros.view();
  expect(int8, saved, QuantMode::kW8A8Dynamic);

  const AffineParams input{0.25f, -3.0f, DType::kF32};
  const Tensor deq = DeqScaleForModel(DeqScale(input, int8.scale.view()), DType::kF32);
  const Tensor input_scale = reference::Make(DType::kF32, {1}, {0.25f});
  ascend_v1::SavedTensors fixed;
  fixed.weight = int8.codes.view();
  fixed.deq_scale = deq.view();
  fixed.input_scale = input_scale.view();
  expect(int8, fixed, QuantMode::kW8A8);

  const QuantizedWeight int4 = quantized(WeightScope::kPerChannel, ElementFormat::kInt4);
  const Tensor packed = PackInt4Rows(int4.codes.view()), int4_scale = WeightScaleColumn(int4.scale.view());
  saved.weight = packed.view();
  saved.weight_scale = int4_scale.view();
  expect(int4, saved, QuantMode::kW4A8Dynamic);

  const QuantizedWeight fp8 = quantized(WeightScope::kPerChannel, ElementFormat::kFp8E4M3);
  const Tensor fp8_scale = WeightScaleColumn(fp8.scale.view());
  saved.weight = fp8.codes.view();
  saved.weight_scale = fp8_scale.view();
  expect(fp8, saved, QuantMode::kWFP8AFP8Dynamic);

  ascend_v1::SavedTensors mx;
  const QuantizedWeight mxfp8 = quantized(WeightScope::kPerBlock, ElementFormat::kMxFp8);
  mx.weight = mxfp8.codes.view();
  mx.weight_scale = mxfp8.scale.view();
  expect(mxfp8, mx, QuantMode::kW8A8MXFP8);
  const QuantizedWeight mxfp4 = quantized(WeightScope::kPerBlock, ElementFormat::kMxFp4);
  const Tensor fp4 = PackFp4Columns(mxfp4.codes.view()), old = Fp4AsE4M3(mxfp4.codes.view());
  mx.weight_scale = mxfp4.scale.view();
  mx.weight = fp4.view();
  expect(mxfp4, mx, QuantMode::kW4A4MXFP4);
  mx.weight = old.view();
  expect(mxfp4, mx, QuantMode::kW4A4MXFP4);
  const QuantizedWeight dual = quantized(WeightScope::kDualScale, ElementFormat::kMxFp4, WeightMethod::kDualScale);
  const Tensor dual_packed = PackFp4Columns(dual.codes.view());
  mx.weight = dual_packed.view();
  mx.weight_scale = dual.scale.view();
  mx.weight_dual_scale = dual.dual_scale.view();
  expect(dual, mx, QuantMode::kW4A4MXFP4DualScale);
}

TEST(Saved, OffsetsOfGroupsAreSubtracted) {
  const Tensor q = Ints({1, 4}, {1, 2, -3, 4});
  const Tensor scale = reference::Make(DType::kF32, {1, 2}, {0.5f, 2}),
               offset = reference::Make(DType::kF32, {1, 2}, {-1, 3});
  ascend_v1::SavedTensors saved;
  saved.weight = q.view();
  saved.weight_scale = scale.view();
  saved.weight_offset = offset.view();
  EXPECT_THAT(reference::Floats(ascend_v1::ReadWeight(saved, QuantMode::kW8A8Dynamic).view()),
              ElementsAre(1, 1.5f, -12, 2));
}

TEST(Saved, WrongTensorsAreNamed) {
  const Tensor q = Ints({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor scale = reference::Make(DType::kF32, {2, 1}, {1, 2}),
               wrong = reference::Make(DType::kF32, {3, 1}, {1, 2, 3});
  const auto message = [](const ascend_v1::SavedTensors& saved, QuantMode mode) -> std::string {
    try {
      ascend_v1::ReadWeight(saved, mode);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  ascend_v1::SavedTensors saved;
  EXPECT_THAT(message(saved, QuantMode::kW8A8Dynamic), testing::HasSubstr("weight: expected I8"));
  saved.weight = q.view();
  EXPECT_THAT(message(saved, QuantMode::kW8A8Dynamic),
              testing::HasSubstr("weight_scale: expected F32 [2, groups], found nothing"));
  saved.weight_scale = wrong.view();
  EXPECT_THAT(message(saved, QuantMode::kW8A8Dynamic), testing::HasSubstr("found F32 [3, 1]"));
  saved.weight_scale = scale.view();
  EXPECT_EQ(message(saved, QuantMode::kW8A8Dynamic), "");
  saved.weight_offset = wrong.view();
  EXPECT_THAT(message(saved, QuantMode::kW8A8Dynamic), testing::HasSubstr("weight_offset"));
  EXPECT_THAT(message(saved, QuantMode::kW8A8), testing::HasSubstr("deq_scale"));
  EXPECT_THAT(message(saved, QuantMode::kW8A8MXFP8), testing::HasSubstr("weight: expected F8_E4M3"));
}

TEST(WeightErrors, KnownValues) {
  const Tensor a = reference::Make(DType::kF32, {2, 2}, {3, 4, 0, NAN}),
               b = reference::Make(DType::kBF16, {2, 2}, {3, 3, 0, 0});
  const WeightError error = Compare(a.view(), b.view());
  EXPECT_EQ(error.signal, 25.0);
  EXPECT_EQ(error.noise, 1.0);
  EXPECT_EQ(error.relative(), 0.2);
  EXPECT_EQ(error.max_abs, 1.0);
  EXPECT_EQ(error.count, 4);
  EXPECT_EQ(error.not_finite, 1);
}

TEST(WeightErrors, ClippedCodesAreCounted) {
  // A scale that holds up to 7: one value of 8.2 steps and one of -9 steps are cut, 7.4 steps are rounded.
  QuantizedWeight weight;
  weight.format = ElementFormat::kInt4;
  weight.codes = Ints({1, 5}, {7, -8, 7, -7, 0});
  weight.scale = reference::Make(DType::kF32, {1}, {1.0f});
  const Tensor w = reference::Make(DType::kF32, {1, 5}, {8.2f, -9.0f, 7.4f, -7.0f, 0.1f});
  const WeightError error = Compare(w.view(), weight);
  EXPECT_EQ(error.clipped, 2);
  EXPECT_EQ(error.scale_min, 1.0);
  EXPECT_EQ(error.scale_max, 1.0);
  EXPECT_FLOAT_EQ(static_cast<float>(error.max_abs), 1.2f);
}

TEST(WeightErrors, MinMaxClipsNothingButOldFp4Does) {
  const Tensor w = reference::Random(DType::kF32, {16, 64}, 5);
  WeightSpec spec;
  EXPECT_EQ(Compare(w.view(), QuantizeWeight(w.view(), spec)).clipped, 0);
  spec.scope = WeightScope::kPerBlock;
  spec.format = ElementFormat::kMxFp4;
  const WeightError now = Compare(w.view(), QuantizeWeight(w.view(), spec));
  spec.december_2025 = true;
  const WeightError then = Compare(w.view(), QuantizeWeight(w.view(), spec));
  EXPECT_EQ(now.clipped, 0);
  EXPECT_GT(then.clipped, 0);
  EXPECT_GT(now.relative(), 0.05);
}

}  // namespace
}  // namespace modelslim
