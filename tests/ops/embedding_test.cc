#include "ops/embedding.h"

#include <gtest/gtest.h>

#include "kernels/random_tensor.h"

namespace modelslim {
namespace {

TEST(Embedding, PicksRows) {
  const Tensor table = RandomTensor(DType::kBF16, {50, 9}, 1);
  const std::vector<int32_t> ids = {49, 0, 7, 7};
  Tensor same(DType::kBF16, {4, 9}), wide(DType::kF32, {4, 9});
  EmbeddingLookup(table.view(), ids, same.view());
  EmbeddingLookup(table.view(), ids, wide.view());
  EXPECT_EQ(MaxDifference(same.view(), wide.view()), 0);
  for (int64_t i = 0; i < 36; ++i)
    EXPECT_EQ(ElementAsF32(same.view(), i), ElementAsF32(table.view(), ids[i / 9] * 9 + i % 9));
}

TEST(Embedding, NamesTheBadToken) {
  const Tensor table = RandomTensor(DType::kF32, {50, 2}, 1);
  Tensor out(DType::kF32, {3, 2});
  for (const int32_t bad : {50, -1}) {
    const std::vector<int32_t> ids = {1, bad, 2};
    try {
      EmbeddingLookup(table.view(), ids, out.view());
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset);
      EXPECT_NE(error.Text().find("token " + std::to_string(bad) + " at position 1"), std::string::npos)
          << error.Text();
      EXPECT_NE(error.Text().find("50 rows"), std::string::npos);
    }
  }
}

TEST(Rows, GatherAndScatterAdd) {
  const Tensor x = RandomTensor(DType::kBF16, {6, 300}, 2);
  const std::vector<int64_t> rows = {5, 0, 5};
  Tensor picked(DType::kBF16, {3, 300});
  GatherRows(x.view(), rows, picked.view());
  EXPECT_EQ(ElementAsF32(picked.view(), 600), ElementAsF32(x.view(), 1500));
  Tensor weight(DType::kF32, {3});
  weight.as<float>()[0] = 0.3f, weight.as<float>()[1] = 2.0f, weight.as<float>()[2] = -1.7f;
  Tensor y = RandomTensor(DType::kBF16, {6, 300}, 3);
  const Tensor before = y.Clone();
  ScatterAddRows(picked.view(), rows, weight.view(), y.view());
  for (int64_t c = 0; c < 300; ++c) {
    const float in5 = ElementAsF32(x.view(), 1500 + c), in0 = ElementAsF32(x.view(), c);
    float row5 = RoundTo<BF16>(ElementAsF32(before.view(), 1500 + c) + RoundTo<BF16>(in5 * 0.3f));
    row5 = RoundTo<BF16>(row5 + RoundTo<BF16>(in5 * -1.7f));
    ASSERT_EQ(ElementAsF32(y.view(), 1500 + c), row5);
    ASSERT_EQ(ElementAsF32(y.view(), c), RoundTo<BF16>(ElementAsF32(before.view(), c) + RoundTo<BF16>(in0 * 2.0f)));
    ASSERT_EQ(ElementAsF32(y.view(), 300 + c), ElementAsF32(before.view(), 300 + c));
  }
}

}  // namespace
}  // namespace modelslim
