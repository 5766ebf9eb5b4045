#include "quant/activations/activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/parallel.h"
#include "reference.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ActivationSpec Spec(ActivationScope scope, bool symmetric, ElementFormat format = ElementFormat::kInt8) {
  ActivationSpec spec;
  spec.scope = scope;
  spec.symmetric = symmetric;
  spec.format = format;
  return spec;
}

const std::vector<float> kB1 = {0.1f, -0.4f, 2, 0.7f, -1.25f, 0.3f}, kB2 = {3.1f, -0.2f, 0.05f, -1, 1.5f, 0.9f};

struct Static {
  DType dtype;
  bool symmetric;
  float scale1, offset1, scale2, offset2;
  std::vector<int> q1, q2;
};

TEST(StaticActivation, WorkedExample) {
  const std::vector<Static> examples = {
      {DType::kF32,
       false,
       0.012745099142193794f,
       -30,
       0.017058823257684708f,
       -55,
       {-22, -61, 127, 25, -128, -6},
       {127, -67, -52, -114, 33, -2}},
      {DType::kF32,
       true,
       0.015748031437397003f,
       0,
       0.024409448727965355f,
       0,
       {6, -25, 127, 44, -79, 19},
       {127, -8, 2, -41, 61, 37}},
      {DType::kBF16,
       false,
       0.0128173828125f,
       -30,
       0.01708984375f,
       -55,
       {-22, -61, 126, 24, -128, -6},
       {126, -66, -52, -114, 33, -2}},
      {DType::kBF16,
       true,
       0.0157470703125f,
       0,
       0.0244140625f,
       0,
       {6, -25, 127, 44, -80, 19},
       {126, -8, 2, -41, 62, 37}},
  };
  for (const Static& example : examples) {
    ActivationQuantizer quantizer(Spec(ActivationScope::kPerTensor, example.symmetric));
    EXPECT_FALSE(quantizer.params().has_value());
    for (const int batch : {1, 2}) {
      const Tensor x = reference::Make(example.dtype, {2, 3}, batch == 1 ? kB1 : kB2);
      Tensor out(example.dtype, x.shape());
      const int64_t offsets[] = {0, 2};
      quantizer.Calibrate(x.view(), offsets, out.view());
      const AffineTable params = *quantizer.params();
      EXPECT_EQ(params.dtype, example.dtype);
      EXPECT_EQ(params.scale[0], batch == 1 ? example.scale1 : example.scale2);
      EXPECT_EQ(params.offset[0], batch == 1 ? example.offset1 : example.offset2);
      for (int i = 0; i < 6; ++i) {
        const int q = (batch == 1 ? example.q1 : example.q2)[i];
        EXPECT_EQ(ElementAsF32(out.view(), i),
                  reference::DequantizeOne(q, {params.scale[0], params.offset[0]}, example.dtype));
      }
    }
    EXPECT_EQ(quantizer.samples(), 2);
  }
}

TEST(StaticActivation, PackedSamplesSeeTheRangeSoFar) {
  std::vector<float> both = kB1;
  both.insert(both.end(), kB2.begin(), kB2.end());
  const Tensor x = reference::Make(DType::kF32, {4, 3}, both);
  ActivationQuantizer quantizer(Spec(ActivationScope::kPerTensor, false));
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 2, 2, 4};  // the second sample is empty
  quantizer.Calibrate(x.view(), offsets, out.view());
  EXPECT_EQ(quantizer.samples(), 2);
  EXPECT_EQ(out.as<float>()[0], (-22.0f + 30.0f) * 0.012745099142193794f);
  EXPECT_EQ(out.as<float>()[11], (-2.0f + 55.0f) * 0.017058823257684708f);
}

TEST(StaticActivation, MeanOfRanges) {
  ActivationSpec spec = Spec(ActivationScope::kPerTensor, false);
  spec.aggregation = Aggregation::kMean;
  ActivationQuantizer quantizer(spec);
  const Tensor x = reference::Make(DType::kF32, {3, 2}, {-1, 2, -2, 5, 0.5f, 1});
  const int64_t offsets[] = {0, 1, 2, 3};
  quantizer.Calibrate(x.view(), offsets, View{});
  EXPECT_EQ(quantizer.range().min, static_cast<float>((-1.0 - 2.0 + 0.5) / 3.0));
  EXPECT_EQ(quantizer.range().max, static_cast<float>(8.0 / 3.0));
  const reference::Params expected =
      reference::ParamsOf(static_cast<float>(-2.5 / 3.0), static_cast<float>(8.0 / 3.0), DType::kF32, 8, false);
  EXPECT_EQ(quantizer.params()->scale[0], expected.scale);
  EXPECT_EQ(quantizer.params()->offset[0], expected.offset);
}

TEST(StaticActivation, PoolIsTheHullOfWhatOthersSaw) {
  for (const ActivationMethod method : {ActivationMethod::kMinMax, ActivationMethod::kHistogram}) {
    ActivationSpec spec = Spec(ActivationScope::kPerTensor, false);
    spec.method = method;
    ActivationQuantizer low(spec), high(spec), unseen(spec), pooled(spec);
    const std::vector<int64_t> offsets = {0, 4};
    const std::vector<float> below = {-4, -3, -2, -1}, above = {1, 2, 3, 8};
    low.Calibrate({below.data(), DType::kF32, {4, 1}}, offsets, View{});
    high.Calibrate({above.data(), DType::kF32, {4, 1}}, offsets, View{});
    const ActivationQuantizer* const others[] = {&low, &unseen, &high};
    ASSERT_TRUE(pooled.Pool(others));
    EXPECT_EQ(pooled.range().min, low.range().min);
    EXPECT_EQ(pooled.range().max, high.range().max);
    const AffineTable params = pooled.params().value();
    EXPECT_FLOAT_EQ(params.scale.front(), (high.range().max - low.range().min) / 255);
    const ActivationQuantizer* const none[] = {&unseen};
    ActivationQuantizer still(spec);
    EXPECT_FALSE(still.Pool(none));
    EXPECT_FALSE(still.params().has_value());
  }
}

TEST(StaticActivation, NanStays) {
  ActivationQuantizer quantizer(Spec(ActivationScope::kPerTensor, true));
  const Tensor x = reference::Make(DType::kBF16, {2, 2}, {1, kNan, 2, 3});
  const int64_t offsets[] = {0, 1, 2};
  Tensor out(DType::kBF16, x.shape());
  quantizer.Calibrate(x.view(), offsets, out.view());
  EXPECT_TRUE(std::isnan(quantizer.params()->scale[0]));
  for (const float value : reference::Floats(out.view())) EXPECT_TRUE(std::isnan(value));
}

TEST(DynamicActivation, CalibrationUsesOneRangePerSample) {
  const Tensor x = reference::Make(DType::kF32, {2, 3}, {1, -0.5f, 0.25f, 0.01f, 0.02f, -0.04f});
  ActivationQuantizer quantizer(Spec(ActivationScope::kPerToken, true));
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 2};
  quantizer.Calibrate(x.view(), offsets, out.view());
  EXPECT_THAT(reference::Floats(out.view()),
              ElementsAre(1, -0.5039370059967041f, 0.25196850299835205f, 0.007874015718698502f, 0.023622047156095505f,
                          -0.03937007859349251f));
  EXPECT_FALSE(quantizer.params().has_value());
  EXPECT_TRUE(IsDataFree(quantizer.spec()));
}

TEST(DynamicActivation, DeployedLayersRangeOverTokens) {
  const Tensor x = reference::Make(DType::kF32, {2, 3}, {1, -0.5f, 0.25f, 0.01f, 0.02f, -0.04f});
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 2};
  DeployedActivation deployed;
  deployed.spec = Spec(ActivationScope::kPerToken, true);
  FakeQuantizeDeployed(deployed, x.view(), offsets, out.view());
  EXPECT_THAT(reference::Floats(out.view()),
              ElementsAre(1, -0.5f, 0.25f, 0.007874015718698502f, 0.019685039296746254f, -0.03937007859349251f));
  deployed.true_per_token = true;
  FakeQuantizeDeployed(deployed, x.view(), offsets, out.view());
  EXPECT_EQ(out.as<float>()[3], 0.010078740306198597f);
  EXPECT_EQ(out.as<float>()[4], 0.019842520356178284f);
  EXPECT_EQ(out.as<float>()[5], -0.03999999910593033f);
}

TEST(PdMix, StaticParametersAndSymmetricOutputs) {
  ActivationQuantizer quantizer(Spec(ActivationScope::kPdMix, false));
  std::vector<float> both = kB1;
  both.insert(both.end(), kB2.begin(), kB2.end());
  const Tensor x = reference::Make(DType::kF32, {4, 3}, both);
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 2, 4};
  quantizer.Calibrate(x.view(), offsets, out.view());
  EXPECT_EQ(quantizer.params()->scale[0], 0.017058823257684708f);
  EXPECT_EQ(quantizer.params()->offset[0], -55.0f);
  const std::vector<float> values = reference::Floats(out.view());
  EXPECT_THAT(std::vector<float>(values.begin(), values.begin() + 3),
              ElementsAre(0.09448818862438202f, -0.3937007784843445f, 2));
  EXPECT_THAT(std::vector<float>(values.begin() + 6, values.begin() + 9),
              ElementsAre(3.0999999046325684f, -0.19527558982372284f, 0.04881889745593071f));
}

TEST(KvCache, ParametersOfTheLastSample) {
  // [B*S, H*D] of the worked example: head 0 [[1,-2],[.5,4]], head 1 [[-3,.25],[2,-.125]].
  const Tensor x = reference::Make(DType::kF32, {3, 4}, {100, 100, 100, 100, 1, -2, -3, 0.25f, 0.5f, 4, 2, -0.125f});
  const int64_t offsets[] = {0, 1, 3};
  ActivationQuantizer sym(Spec(ActivationScope::kPerChannel, true)), asym(Spec(ActivationScope::kPerChannel, false));
  sym.Calibrate(x.view(), offsets, View{});
  asym.Calibrate(x.view(), offsets, View{});
  EXPECT_THAT(sym.params()->scale,
              ElementsAre(0.007874015718698502f, 0.031496062874794006f, 0.023622047156095505f, 0.0019685039296746254f));
  EXPECT_TRUE(sym.params()->offset.empty());
  EXPECT_THAT(asym.params()->scale,
              ElementsAre(0.003921568859368563f, 0.02352941408753395f, 0.019607843831181526f, 0.001470588380470872f));
  EXPECT_THAT(asym.params()->offset, ElementsAre(-128, -43, 25, -43));
}

TEST(BlockActivation, CalibrationPassesAndDeploymentQuantizes) {
  const Tensor x = reference::Random(DType::kBF16, {7, 72}, 3);
  for (const ElementFormat format : {ElementFormat::kMxFp8, ElementFormat::kMxFp4}) {
    ActivationQuantizer quantizer(Spec(ActivationScope::kPerBlock, true, format));
    Tensor out(DType::kBF16, x.shape());
    const int64_t offsets[] = {0, 3, 7};
    quantizer.Calibrate(x.view(), offsets, out.view());
    EXPECT_TRUE(reference::SameBits(out.view(), x.view()));
    DeployedActivation deployed;
    deployed.spec = quantizer.spec();
    FakeQuantizeDeployed(deployed, x.view(), offsets, out.view());
    const bool fp4 = format == ElementFormat::kMxFp4;
    for (int64_t row = 0; row < 7; ++row) {
      for (int64_t begin = 0; begin < 72; begin += 32) {
        const int64_t n = std::min<int64_t>(32, 72 - begin);
        float largest = 0.0f;
        for (int64_t i = 0; i < n; ++i)
          largest = std::max(largest, std::fabs(ElementAsF32(x.view(), row * 72 + begin + i)));
        const float exponent = reference::MxExponent(largest, DType::kBF16, fp4, false);
        for (int64_t i = row * 72 + begin; i < row * 72 + begin + n; ++i) {
          const float element = reference::MxElement(ElementAsF32(x.view(), i), exponent, fp4, false);
          ASSERT_EQ(ElementAsF32(out.view(), i), std::ldexp(element, static_cast<int>(exponent)));
        }
      }
    }
  }
}

// The outer scale of activations is that of weights: a matrix of either kind comes back the same.
TEST(BlockActivation, OuterScaleIsThatOfWeights) {
  Tensor x = reference::Random(DType::kF32, {5, 128}, 3);
  std::memset(x.view().Rows(2, 3).data, 0, x.view().Rows(2, 3).bytes());
  DeployedActivation deployed;
  deployed.spec = Spec(ActivationScope::kDualScale, true, ElementFormat::kMxFp4);
  deployed.spec.dual_block_size = 64;
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 5};
  FakeQuantizeDeployed(deployed, x.view(), offsets, out.view());
  WeightSpec weight;
  weight.scope = WeightScope::kDualScale;
  weight.format = ElementFormat::kMxFp4;
  weight.method = WeightMethod::kDualScale;
  weight.dual_block_size = 64;
  EXPECT_TRUE(reference::SameBits(out.view(), Dequantize(QuantizeWeight(x.view(), weight), DType::kF32).view()));
}

TEST(Fp8Activation, OneScalePerSampleAndNoGrid) {
  const Tensor x = reference::Make(DType::kF32, {1, 3}, {1, 0.3f, -0.01f});
  ActivationQuantizer quantizer(Spec(ActivationScope::kPerToken, true, ElementFormat::kFp8E4M3));
  Tensor out(DType::kF32, x.shape());
  const int64_t offsets[] = {0, 1};
  quantizer.Calibrate(x.view(), offsets, out.view());
  const float scale = 1.0f / 448.0f;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(out.as<float>()[i], x.as<float>()[i] / scale * scale);
}

TEST(Activation, ChunksThreadsAndPlacesDoNotMatter) {
  const int64_t cols = 200;
  const Tensor x = reference::Random(DType::kBF16, {2000, cols}, 8, 2.0f);
  const std::vector<int64_t> offsets = {0, 1, 700, 700, 1999, 2000};
  std::vector<ActivationSpec> specs;
  for (const bool symmetric : {true, false}) {
    specs.push_back(Spec(ActivationScope::kPerTensor, symmetric));
    specs.push_back(specs.back());
    specs.back().aggregation = Aggregation::kMean;
    specs.push_back(Spec(ActivationScope::kPerToken, symmetric));
    specs.push_back(Spec(ActivationScope::kPerChannel, symmetric));
  }
  specs.push_back(Spec(ActivationScope::kPdMix, false));
  specs.push_back(Spec(ActivationScope::kPerToken, true, ElementFormat::kFp8E4M3));
  specs.push_back(Spec(ActivationScope::kPerTensor, true, ElementFormat::kFp8E4M3));
  specs.push_back(Spec(ActivationScope::kPerChannel, true, ElementFormat::kFp8E4M3));
  for (const ActivationSpec& spec : specs) {
    SetComputeThreads(4);
    ActivationQuantizer together(spec);
    Tensor expected(DType::kBF16, x.shape());
    together.Calibrate(x.view(), offsets, expected.view());
    SetComputeThreads(1);
    ActivationQuantizer apart(spec);
    Tensor out = x.Clone();
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      const int64_t own[] = {0, offsets[i + 1] - offsets[i]};
      const View rows = out.view().Rows(offsets[i], offsets[i + 1]);
      apart.Calibrate(rows, own, rows);  // in place
    }
    EXPECT_TRUE(reference::SameBits(expected.view(), out.view()));
    ASSERT_EQ(together.params().has_value(), apart.params().has_value());
    if (together.params()) {
      EXPECT_EQ(together.params()->scale, apart.params()->scale);
    }
    EXPECT_EQ(together.samples(), 4);
  }
  SetComputeThreads(0);
}

TEST(Activation, RefusesWhatDoesNotExist) {
  EXPECT_THROW(ActivationQuantizer{Spec(ActivationScope::kPdMix, true)}, Error);
  EXPECT_THROW(ActivationQuantizer{Spec(ActivationScope::kPerTensor, false, ElementFormat::kFp8E4M3)}, Error);
  EXPECT_THROW(ActivationQuantizer{Spec(ActivationScope::kPerTensor, true, ElementFormat::kMxFp8)}, Error);
  EXPECT_THROW(ActivationQuantizer{Spec(ActivationScope::kPerBlock, true)}, Error);
  EXPECT_THROW(ActivationQuantizer{Spec(ActivationScope::kDualScale, true, ElementFormat::kMxFp4)}, Error);
  ActivationSpec histogram = Spec(ActivationScope::kPerToken, true);
  histogram.method = ActivationMethod::kHistogram;
  EXPECT_THROW(ActivationQuantizer{histogram}, Error);
}

}  // namespace
}  // namespace modelslim
