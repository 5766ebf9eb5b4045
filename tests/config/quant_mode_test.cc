#include "config/recipe/quant_mode.h"

#include <gmock/gmock.h>

#include <set>

#include "base/error.h"

namespace modelslim {
namespace {

QConfig Half(QScope scope, QDType dtype, bool symmetric, std::string method = "minmax") {
  QConfig q;
  q.scope = scope;
  q.dtype = dtype;
  q.symmetric = symmetric;
  q.method = std::move(method);
  return q;
}

const QConfig kStatic = Half(QScope::kPerTensor, QDType::kInt8, false);
const QConfig kDynamic = Half(QScope::kPerToken, QDType::kInt8, true);
const QConfig kInt8 = Half(QScope::kPerChannel, QDType::kInt8, true);
const QConfig kInt4 = Half(QScope::kPerChannel, QDType::kInt4, true, "ssz");
const QConfig kMx8 = Half(QScope::kPerBlock, QDType::kMxfp8, true);
const QConfig kMx4 = Half(QScope::kPerBlock, QDType::kMxfp4, true);

QuantMode Mode(const QConfig& act, const QConfig& weight, PairUse use = PairUse::kLinearQuant) {
  return ModeOf({act, weight, {}}, use);
}

TEST(QuantMode, LegalPairs) {
  EXPECT_EQ(Mode(kStatic, kInt8), QuantMode::kW8A8);
  EXPECT_EQ(Mode(Half(QScope::kPerTensor, QDType::kInt8, true, "histogram"), kInt8), QuantMode::kW8A8);
  EXPECT_EQ(Mode(kDynamic, kInt8), QuantMode::kW8A8Dynamic);
  EXPECT_EQ(Mode(kDynamic, kInt4), QuantMode::kW4A8Dynamic);
  EXPECT_EQ(Mode(Half(QScope::kPdMix, QDType::kInt8, false), kInt8), QuantMode::kW8A8Mix);
  EXPECT_EQ(Mode(Half(QScope::kPerToken, QDType::kFp8E4M3, true), Half(QScope::kPerChannel, QDType::kFp8E4M3, true)),
            QuantMode::kWFP8AFP8Dynamic);
  EXPECT_EQ(Mode(kMx8, kMx8), QuantMode::kW8A8MXFP8);
  EXPECT_EQ(Mode(kMx8, kMx4), QuantMode::kW4A8MXFP);
  EXPECT_EQ(Mode(kMx4, kMx4), QuantMode::kW4A4MXFP4);
  const QConfig dual = Half(QScope::kDualScale, QDType::kMxfp4, true, "dualscale");
  EXPECT_EQ(Mode(dual, dual), QuantMode::kW4A4MXFP4DualScale);
  EXPECT_EQ(ModeOf({std::nullopt, kInt8, {}}), QuantMode::kW8A16);
  EXPECT_EQ(ModeOf({std::nullopt, Half(QScope::kPerGroup, QDType::kInt8, false, "gptq"), {}}), QuantMode::kW8A16);
}

TEST(QuantMode, IllegalPairs) {
  EXPECT_THROW(Mode(Half(QScope::kPerToken, QDType::kInt8, false), kInt8), Error);
  EXPECT_THROW(Mode(kStatic, kInt4), Error);
  EXPECT_THROW(Mode(kMx4, kMx8), Error);
  EXPECT_THROW(ModeOf({std::nullopt, kInt4, {}}), Error);
  EXPECT_THROW(ModeOf({std::nullopt, Half(QScope::kPerChannel, QDType::kInt8, false), {}}), Error);
}

TEST(QuantMode, AutoroundTrainsMore) {
  const QConfig act4 = Half(QScope::kPerToken, QDType::kInt4, true, "anything");
  const QConfig group4 = Half(QScope::kPerGroup, QDType::kInt4, false, "autoround");
  EXPECT_EQ(Mode(act4, group4, PairUse::kAutoround), QuantMode::kW4A4Dynamic);
  EXPECT_EQ(Mode(kDynamic, kInt4, PairUse::kAutoround), QuantMode::kW4A8Dynamic);
  EXPECT_EQ(Mode(kDynamic, Half(QScope::kPerGroup, QDType::kInt8, true, "x"), PairUse::kAutoround),
            QuantMode::kW8A8Dynamic);
  EXPECT_THROW(Mode(act4, group4), Error);
  EXPECT_THROW(Mode(kStatic, kInt8, PairUse::kAutoround), Error);
}

TEST(QuantMode, DataAreNeededForStaticRangesAndGptq) {
  EXPECT_TRUE(NeedsData({kStatic, kInt8, {}}));
  EXPECT_FALSE(NeedsData({kDynamic, kInt8, {}}));
  EXPECT_FALSE(NeedsData({kMx8, kMx4, {}}));
  EXPECT_FALSE(NeedsData({std::nullopt, kInt8, {}}));
  EXPECT_TRUE(NeedsData({kDynamic, Half(QScope::kPerChannel, QDType::kInt8, true, "gptq"), {}}));
}

TEST(QuantMode, EveryPairIsMadeOfRegisteredHalves) {
  EXPECT_THAT(RegisteredActivations(), ::testing::Contains("pd_mix int8 asymmetric minmax"));
  std::set<QuantMode> modes;
  for (const LegalPair& pair : LegalPairs(PairUse::kLinearQuant)) modes.insert(pair.mode);
  // Every type but FLOAT, W4A4_DYNAMIC (autoround only), W16A16S (float_sparse), W8A8S and W4A16 (modelslim_v0).
  EXPECT_EQ(modes.size(), static_cast<size_t>(kQuantModeCount) - 5);
}

TEST(QuantMode, OneChange) {
  EXPECT_EQ(WeightChange(Half(QScope::kPerChannel, QDType::kInt8, false)), "symmetric: true");
  EXPECT_EQ(WeightChange(Half(QScope::kPerChannel, QDType::kInt8, true, "histogram")), "method: minmax");
  EXPECT_EQ(WeightChange(Half(QScope::kPerTensor, QDType::kInt8, true)), "scope: per_channel");
  EXPECT_EQ(ActivationChange(Half(QScope::kPerToken, QDType::kInt4, true)), "dtype: int8");
}

}  // namespace
}  // namespace modelslim
