#include "ops/rope.h"

#include <gtest/gtest.h>

#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

void ExpectNear(const std::vector<float>& inverse, std::initializer_list<std::pair<int, double>> expected) {
  for (const auto& [index, value] : expected) EXPECT_NEAR(inverse[index], value, 2e-5 * value) << index;
}

RopeConfig Yarn() {
  RopeConfig config;
  config.type = RopeType::kYarn, config.dim = 64, config.theta = 1e4, config.factor = 40;
  config.max_position = 163840, config.original_max_position = 4096;
  return config;
}

// Golden values of the specification.
TEST(Rope, YarnFrequencies) {
  ExpectNear(RopeFrequencies(Yarn(), 100), {{0, 1},
                                            {1, 0.749894},
                                            {10, 0.0562341},
                                            {11, 0.0390069},
                                            {15, 0.00833451},
                                            {16, 0.0055},
                                            {22, 1.77828e-4},
                                            {23, 3.3338e-5},
                                            {31, 3.3338e-6}});
  RopeConfig config = Yarn();
  EXPECT_NEAR(RopeAttentionFactor(config), 1.36888795, 1e-7);
  config.mscale = 1, config.mscale_all_dim = 1;
  EXPECT_EQ(RopeAttentionFactor(config), 1.0);
  config.attention_factor = 0.75;
  EXPECT_EQ(RopeAttentionFactor(config), 0.75);
}

TEST(Rope, Llama3Frequencies) {
  RopeConfig config;
  config.type = RopeType::kLlama3, config.dim = 128, config.theta = 5e5, config.factor = 8;
  config.max_position = 131072, config.original_max_position = 8192;
  const std::vector<float> scaled = RopeFrequencies(config, 100);
  ExpectNear(scaled, {{28, 0.00321145},
                      {29, 0.00216657},
                      {30, 0.00137189},
                      {32, 5.24846e-4},
                      {34, 1.78508e-4},
                      {35, 9.55621e-5},
                      {63, 3.06893e-7}});
  config.type = RopeType::kDefault;
  const std::vector<float> plain = RopeFrequencies(config, 100);
  for (int j = 0; j < 64; ++j) {
    EXPECT_EQ(scaled[j] == plain[j], j <= 28) << j;
    EXPECT_EQ(scaled[j] == plain[j] / 8, j >= 35) << j;
  }
}

TEST(Rope, LinearDynamicLongRope) {
  RopeConfig config;
  config.dim = 8, config.theta = 1e4, config.factor = 4, config.max_position = 100;
  const std::vector<float> plain = RopeFrequencies(config, 1);
  EXPECT_FLOAT_EQ(plain[1], 0.1f);
  config.type = RopeType::kLinear;
  EXPECT_EQ(RopeFrequencies(config, 1)[1], plain[1] / 4);
  config.type = RopeType::kDynamic;
  EXPECT_EQ(RopeFrequencies(config, 100), plain);  // up to the trained length nothing changes
  EXPECT_NEAR(RopeFrequencies(config, 200)[1], std::pow(1e4 * std::pow(5.0, 8.0 / 6), -0.25), 1e-7);
  config.type = RopeType::kLongRope;
  config.short_factor = {1, 2, 3, 4}, config.long_factor = {10, 20, 30, 40}, config.original_max_position = 25;
  EXPECT_NEAR(RopeFrequencies(config, 25)[1], 0.05, 1e-8);
  EXPECT_NEAR(RopeFrequencies(config, 26)[1], 0.005, 1e-9);
  EXPECT_NEAR(RopeAttentionFactor(config), std::sqrt(1 + std::log(4.0) / std::log(25.0)), 1e-12);
}

TEST(Rope, ParsesNames) {
  EXPECT_EQ(ParseRopeType("llama3"), RopeType::kLlama3);
  EXPECT_EQ(ParseRopeType("su"), RopeType::kLongRope);
  EXPECT_EQ(ParseRopeType("mrope3"), std::nullopt);
}

TEST(Rope, TableFollowsSequencesAndPositions) {
  RopeConfig config;
  config.dim = 4, config.theta = 100;
  const std::vector<int64_t> offsets = {0, 3, 3, 5}, positions = {1, 2, 0, 7, 1};
  const RopeTable table(config, offsets, DType::kF32), shifted(config, offsets, positions, DType::kF32);
  ASSERT_EQ(table.rows(), 5);
  EXPECT_EQ(table.cos(3), table.cos(0));  // rows are shared
  EXPECT_FLOAT_EQ(table.sin(4)[1], std::sin(0.1f));
  EXPECT_FLOAT_EQ(shifted.cos(3)[0], std::cos(7.0f));
  EXPECT_EQ(shifted.cos(0), shifted.cos(4));
  const RopeTable rounded(config, offsets, DType::kBF16);
  EXPECT_EQ(rounded.cos(2)[0], RoundTo<BF16>(table.cos(2)[0]));
  EXPECT_NE(rounded.cos(2)[0], table.cos(2)[0]);
}

TEST(Rope, LongSequencesOfDynamicTypesHaveTheirOwnRows) {
  RopeConfig config;
  config.type = RopeType::kDynamic, config.dim = 4, config.theta = 100, config.factor = 2, config.max_position = 3;
  const std::vector<int64_t> offsets = {0, 3, 8};
  const RopeTable table(config, offsets, DType::kF32);
  EXPECT_NE(table.cos(4)[1], table.cos(1)[1]);
  EXPECT_FLOAT_EQ(table.cos(4)[1], std::cos(RopeFrequencies(config, 5)[1]));
}

// Every operation written out, with its rounding.
template <class T>
void CheckHalfSplit() {
  const int64_t rows = 5, heads = 3, head_dim = 12, begin = 4;
  RopeConfig config;
  config.dim = 8;
  const std::vector<int64_t> offsets = {0, rows};
  const RopeTable table(config, offsets, DTypeOf<T>());
  const Tensor x = RandomTensor(DTypeOf<T>(), {rows, heads * head_dim}, 1);
  Tensor y = x.Clone();
  ApplyRope(y.view(), table, {.heads = heads, .begin = begin});
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t c = 0; c < heads * head_dim; ++c) {
      const int64_t j = c % head_dim - begin;
      const float value = ElementAsF32(x.view(), t * heads * head_dim + c);
      float expected = value;
      if (j >= 0 && j < 8) {
        const int64_t partner = t * heads * head_dim + c + (j < 4 ? 4 : -4);
        const float rotated = j < 4 ? -ElementAsF32(x.view(), partner) : ElementAsF32(x.view(), partner);
        expected = RoundTo<T>(RoundTo<T>(value * table.cos(t)[j % 4]) + RoundTo<T>(rotated * table.sin(t)[j % 4]));
      }
      ASSERT_EQ(ElementAsF32(y.view(), t * heads * head_dim + c), expected) << t << "," << c;
    }
  }
}

TEST(Rope, HalfSplitRoundsThreeTimes) {
  CheckHalfSplit<BF16>();
  CheckHalfSplit<F16>();
  CheckHalfSplit<float>();
}

TEST(Rope, InterleavedLayouts) {
  RopeConfig config;
  config.dim = 4;
  const std::vector<int64_t> offsets = {0, 2};
  const RopeTable table(config, offsets, DType::kF32);
  Tensor pairs(DType::kF32, {2, 4}), halves(DType::kF32, {2, 4}), split(DType::kF32, {2, 4});
  const float in[8] = {9, 9, 9, 9, 1, 2, 3, 4}, gathered[8] = {9, 9, 9, 9, 1, 3, 2, 4};
  std::copy(in, in + 8, pairs.as<float>());
  std::copy(in, in + 8, halves.as<float>());
  std::copy(gathered, gathered + 8, split.as<float>());
  ApplyRope(pairs.view(), table, {.heads = 1, .layout = RopeLayout::kInterleaved});
  ApplyRope(halves.view(), table, {.heads = 1, .layout = RopeLayout::kInterleavedToHalf});
  ApplyRope(split.view(), table, {.heads = 1});
  EXPECT_EQ(MaxDifference(halves.view(), split.view()), 0);
  const float c = std::cos(1.0f), s = std::sin(1.0f);
  EXPECT_FLOAT_EQ(pairs.as<float>()[4], 1 * c - 2 * s);
  EXPECT_FLOAT_EQ(pairs.as<float>()[5], 1 * s + 2 * c);
  EXPECT_FLOAT_EQ(halves.as<float>()[4], 1 * c - 2 * s);
  EXPECT_FLOAT_EQ(halves.as<float>()[6], 1 * s + 2 * c);
}

}  // namespace
}  // namespace modelslim
