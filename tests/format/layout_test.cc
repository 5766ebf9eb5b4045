#include "format/layout.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace modelslim {
namespace {

constexpr int64_t kMiB = 1 << 20;

OutputTensor Bytes(const std::string& name, int64_t bytes) { return {name, DType::kI8, {bytes}, "W8A8"}; }

TEST(LayOut, ReachingTheLimitOpensTheNextShard) {
  // 600 + 424 MiB are exactly 1 GiB: not below the limit.
  const OutputLayout layout =
      LayOut({Bytes("a", 600 * kMiB), Bytes("b", 424 * kMiB), Bytes("c", kMiB)}, {"quant_model_weights", 1});
  ASSERT_EQ(layout.shards.size(), 2u);
  EXPECT_EQ(layout.shards[0].file, "quant_model_weights-00001-of-00002.safetensors");
  EXPECT_EQ(layout.Find("a")->shard, 0);
  EXPECT_EQ(layout.Find("b")->shard, 1);
  EXPECT_EQ(layout.Find("c")->shard, 1);
  EXPECT_EQ(layout.total_size, uint64_t{1025} * kMiB);
}

TEST(LayOut, OneTensorAboveTheLimitIsAShardOfItsOwn) {
  const OutputLayout layout =
      LayOut({Bytes("a", kMiB), Bytes("b", 2048 * kMiB), Bytes("c", kMiB)}, {"quant_model_weights", 1});
  ASSERT_EQ(layout.shards.size(), 3u);
  EXPECT_EQ(layout.Find("b")->shard, 1);
}

TEST(LayOut, ZeroMeansOneFileWithoutNumbers) {
  const OutputLayout layout = LayOut({Bytes("a", 8), Bytes("b", 16)}, {"quant_model_weights", 0});
  ASSERT_EQ(layout.shards.size(), 1u);
  EXPECT_EQ(layout.shards[0].file, "quant_model_weights.safetensors");
  EXPECT_EQ(layout.Find("a")->offset, layout.shards[0].header.size());
  EXPECT_EQ(layout.Find("b")->offset, layout.shards[0].header.size() + 8);
  EXPECT_EQ(layout.shards[0].size, layout.shards[0].header.size() + 24);
}

TEST(LayOut, SortsByTypeThenName) {
  const OutputLayout layout = LayOut({{"z", DType::kI8, {4}, ""},
                                      {"experts.2", DType::kF32, {1}, ""},
                                      {"experts.10", DType::kF32, {1}, ""},
                                      {"w", DType::kI64, {1}, ""}},
                                     {"quant_model_weights", 0});
  EXPECT_LT(layout.Find("w")->offset, layout.Find("experts.10")->offset);
  EXPECT_LT(layout.Find("experts.10")->offset, layout.Find("experts.2")->offset);
  EXPECT_LT(layout.Find("experts.2")->offset, layout.Find("z")->offset);
}

TEST(LayOut, FilesBesideTheWeightsComeAfterThemAndAreInNoIndex) {
  OutputTensor beside = Bytes("rotation", 8);
  beside.file = "optional/rotation.safetensors";
  const OutputLayout layout = LayOut({Bytes("a", 600 * kMiB), beside, Bytes("b", 424 * kMiB)}, {"weights", 1});
  ASSERT_EQ(layout.shards.size(), 3u);
  EXPECT_EQ(layout.weight_shards, 2u);
  EXPECT_EQ(layout.shards[1].file, "weights-00002-of-00002.safetensors");
  EXPECT_EQ(layout.shards[2].file, "optional/rotation.safetensors");
  EXPECT_EQ(layout.Find("rotation")->shard, 2);
  EXPECT_EQ(layout.Find("rotation")->offset, layout.shards[2].header.size());
  EXPECT_EQ(layout.total_size, uint64_t{1024} * kMiB);
  EXPECT_EQ(IndexJson(layout).find("rotation"), std::string::npos);
  EXPECT_EQ(layout.index_file, "weights.safetensors.index.json");
}

TEST(LayOut, RefusesTheSameNameTwice) { EXPECT_THROW(LayOut({Bytes("a", 1), Bytes("a", 1)}, {}), Error); }

TEST(IndexJson, IsInWriteOrder) {
  const OutputLayout layout = LayOut({Bytes("z", 2), Bytes("a", 1)}, {"quant_model_weights", 4});
  EXPECT_EQ(IndexJson(layout),
            "{\n  \"metadata\": {\n    \"total_size\": 3\n  },\n  \"weight_map\": {\n"
            "    \"z\": \"quant_model_weights-00001-of-00001.safetensors\",\n"
            "    \"a\": \"quant_model_weights-00001-of-00001.safetensors\"\n  }\n}");
}

}  // namespace
}  // namespace modelslim
