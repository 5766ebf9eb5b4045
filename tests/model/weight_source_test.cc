// From tensors on disk to parameters in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/parts/layout_builder.h"
#include "model_testing.h"
#include "ops/block_fp8.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string MessageOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    return error.what();
  }
  return "";
}

class SourceTest : public testing::Test {
 protected:
  void Write(const std::vector<std::pair<std::string, ConstView>>& tensors) {
    WriteSafetensors(directory_.path() / "model.safetensors", tensors);
    checkpoint_.emplace(directory_.path());
    source_ = MakeWeightSource(*checkpoint_);
  }
  TemporaryDirectory directory_;
  std::optional<Checkpoint> checkpoint_;
  std::unique_ptr<WeightSource> source_;
};

TEST_F(SourceTest, MapsEqualTypesAndCastsOthers) {
  Tensor w(DType::kF32, {2});
  w.as<float>()[0] = 1.00390625f;  // half a unit of bf16: to even
  w.as<float>()[1] = -3.0f;
  Write({{"w", w.view()}});
  EXPECT_TRUE(source_->Map(ParamOf("w", {2}, DType::kF32)).has_value());
  EXPECT_FALSE(source_->Map(ParamOf("w", {2}, DType::kBF16)).has_value());
  const Tensor cast = source_->Load(ParamOf("w", {2}, DType::kBF16));
  EXPECT_EQ(ToF32(cast.as<BF16>()[0]), 1.0f);
  EXPECT_EQ(ToF32(cast.as<BF16>()[1]), -3.0f);
}

TEST_F(SourceTest, FollowsAliases) {
  Tensor w = Tensor::Zeros(DType::kF32, {2, 2});
  w.as<float>()[3] = 4;
  Write({{"embed.weight", w.view()}});
  ParamInfo head = ParamOf("head.weight", {2, 2}, DType::kF32);
  head.alias_of = "embed.weight";
  EXPECT_EQ(source_->Load(head).as<float>()[3], 4.0f);
  const std::optional<SharedTensor> mapped = source_->Map(head);
  ASSERT_TRUE(mapped.has_value());
  EXPECT_EQ(mapped->view().as<float>()[3], 4.0f);
}

TEST_F(SourceTest, NamesWhatIsMissingOrOfAnotherShape) {
  const Tensor w = Tensor::Zeros(DType::kF32, {2, 2});
  const Tensor ids = Tensor::Zeros(DType::kI64, {2});
  Write({{"w", w.view()}, {"ids", ids.view()}});
  EXPECT_THAT(MessageOf([&] { source_->Load(ParamOf("v", {2}, DType::kF32)); }),
              HasSubstr("v: expected F32 [2], found no such"));
  EXPECT_THAT(MessageOf([&] { source_->Map(ParamOf("w", {4}, DType::kF32)); }),
              HasSubstr("expected shape [4], found [2, 2]"));
  EXPECT_THAT(MessageOf([&] { source_->Load(ParamOf("ids", {2}, DType::kF32)); }), HasSubstr("found I64"));
}

TEST_F(SourceTest, DequantizesBlocks) {
  // 129 x 130: element (128, 129) has the scale of block (1, 1).
  Tensor codes = Tensor::Zeros(DType::kF8E4M3, {129, 130}), scales(DType::kF32, {2, 2});
  for (int i = 0; i < 4; ++i) scales.as<float>()[i] = 0.1f * static_cast<float>(i + 1);
  for (int64_t i = 0; i < codes.size(); ++i) codes.as<uint8_t>()[i] = static_cast<uint8_t>(i % 256);
  Write({{"l.weight", codes.view()}, {"l.weight_scale_inv", scales.view()}});
  ParamInfo info = ParamOf("l.weight", {129, 130}, DType::kBF16);
  info.scale_name = "l.weight_scale_inv";
  EXPECT_FALSE(source_->Map(info).has_value());
  const Tensor got = source_->Load(info);
  for (int64_t o = 0; o < 129; ++o) {
    for (int64_t i = 0; i < 130; ++i) {
      const float scale = 0.1f * static_cast<float>((o / 128) * 2 + i / 128 + 1);
      const BF16 want = ToBF16(E4M3ToF32(codes.as<uint8_t>()[o * 130 + i]) * scale);
      ASSERT_EQ(got.as<BF16>()[o * 130 + i].bits, want.bits) << o << ", " << i;
    }
  }
  info.scale_name.clear();
  info.name = "l.weight";
  Write({{"l.weight", codes.view()}});
  EXPECT_THAT(MessageOf([&] { source_->Load(info); }), HasSubstr("expected its scales in l.weight_scale_inv"));
}

TEST_F(SourceTest, ChecksALayout) {
  const Tensor w = Tensor::Zeros(DType::kF32, {2, 2});
  Write({{"a.weight", w.view()}, {"b.weight", w.view()}, {"a.rotary_emb.inv_freq", w.view()}});
  ModelLayout layout;
  layout.rest = {LinearInfo("a", 2, 2, DType::kF32)};
  layout.ignored_suffixes = {".inv_freq"};
  EXPECT_THAT(CheckAgainstCheckpoint(layout, *checkpoint_), ElementsAre("b.weight"));
  layout.rest.push_back(LinearInfo("b", 2, 2, DType::kF32));
  EXPECT_THAT(CheckAgainstCheckpoint(layout, *checkpoint_), IsEmpty());
  layout.rest.push_back(LinearInfo("c", 2, 3, DType::kF32, true));
  layout.rest[0].params[0].shape = {2, 5};
  const std::string message = MessageOf([&] { CheckAgainstCheckpoint(layout, *checkpoint_); });
  for (const char* const name : {"a.weight", "c.weight", "c.bias"}) EXPECT_THAT(message, HasSubstr(name));
}

}  // namespace
}  // namespace modelslim
