#include "model/finite_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "fake_source.h"
#include "model/block.h"
#include "model/parts/layout_builder.h"

namespace modelslim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr float kInf = std::numeric_limits<float>::infinity();

class FiniteWatchTest : public testing::Test {
 protected:
  FiniteWatchTest() {
    info_.name = "model.layers.3";
    info_.modules = {LinearInfo("model.layers.3.up_proj", 2, 2, DType::kF16),
                     LinearInfo("model.layers.3.down_proj", 2, 2, DType::kF16),
                     NormInfo("model.layers.3.norm", 2, DType::kF16)};
    block_ = std::make_unique<Block>(info_, source_);
    for (const ModuleInfo& module : info_.modules) {
      if (module.kind == ModuleKind::kLinear) {
        block_->Add(std::make_unique<LinearModule>(module, source_));
      } else {
        block_->Add(std::make_unique<NormModule>(module, source_, NormKind::kPlain, 1e-6));
      }
    }
  }

  // [4, 2]: the samples 7 (no rows), 8 (three rows) and 9.
  Tensor Rows(float last) const {
    Tensor x = Tensor::Zeros(DType::kF16, {4, 2});
    x.as<F16>()[7] = ToF16(last);
    return x;
  }
  RowGroups Groups(FiniteWatch* watch = nullptr) const { return {offsets_, 7, watch}; }

  static std::string TextOf(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
      return error.Text();
    }
    return "nothing";
  }

  const FakeSource source_;
  BlockInfo info_;
  std::unique_ptr<Block> block_;
  const std::vector<int64_t> offsets_ = {0, 0, 3, 4};
};

TEST_F(FiniteWatchTest, NamesTheModuleTheSampleAndTheType) {
  FiniteWatch watch(*block_);
  watch.Enter("model.layers.3.up_proj", "input", Rows(65504).view(), Groups());
  const std::string text =
      TextOf([&] { watch.Enter("model.layers.3.up_proj", "input", Rows(-kInf).view(), Groups()); });
  EXPECT_THAT(text, HasSubstr("model.layers.3.up_proj: its input is not finite: -infinity in calibration sample 9, "
                              "channel 1 (F16)"));
  EXPECT_THAT(text, HasSubstr("bfloat16"));
  EXPECT_THAT(TextOf([&] { watch.Enter("model.layers.3.self_attn", "keys", Rows(NAN).view(), Groups()); }),
              HasSubstr("model.layers.3.self_attn: its keys are not finite: NaN"));
}

TEST_F(FiniteWatchTest, TellsWhereItCameFrom) {
  FiniteWatch watch(*block_);
  watch.Leave("model.layers.3.up_proj", Rows(kInf).view(), Groups());
  watch.Leave("model.layers.3.down_proj", Rows(NAN).view(), Groups());  // later ones follow from the first
  EXPECT_THAT(
      TextOf([&] { watch.Enter("model.layers.3.down_proj", "input", Rows(NAN).view(), Groups()); }),
      HasSubstr("model.layers.3.down_proj: its input is not finite: NaN in calibration sample 9, channel 1 (F16); "
                "it came from model.layers.3.up_proj, which put out infinity in sample 9"));
  EXPECT_THAT(TextOf([&] { watch.Finish(); }), HasSubstr("model.layers.3.up_proj: its output is not finite: infinity"));
}

TEST_F(FiniteWatchTest, FinishesQuietlyWhenAllIsWell) {
  FiniteWatch watch(*block_);
  watch.Leave("model.layers.3.up_proj", Rows(1).view(), Groups());
  watch.Finish();
}

TEST_F(FiniteWatchTest, BlamesAParameterThatIsNotFinite) {
  block_->FindNorm("model.layers.3.norm")->weight().Mutable().as<F16>()[1] = ToF16(NAN);
  FiniteWatch watch(*block_);
  const std::string text = TextOf([&] { watch.Enter("model.layers.3.up_proj", "input", Rows(NAN).view(), Groups()); });
  EXPECT_THAT(text, HasSubstr("model.layers.3.norm.weight holds NaN (element 1); model.layers.3.up_proj: its input"));
  EXPECT_THAT(text, HasSubstr("published"));
  EXPECT_THAT(text, Not(HasSubstr("bfloat16")));
}

TEST_F(FiniteWatchTest, BlamesTheWeightOfTheLinearThatPutItOut) {
  block_->FindLinear("model.layers.3.down_proj")->weight().Mutable().as<F16>()[3] = ToF16(kInf);
  FiniteWatch one(*block_), other(*block_);
  one.Leave("model.layers.3.down_proj", Rows(kInf).view(), Groups());
  EXPECT_THAT(TextOf([&] { one.Finish(); }), HasSubstr("model.layers.3.down_proj.weight holds infinity (row 1)"));
  other.Leave("model.layers.3.up_proj", Rows(kInf).view(), Groups());
  EXPECT_THAT(TextOf([&] { other.Finish(); }), Not(HasSubstr("holds")));
}

// Nothing that observes or rounds gets to see what is not finite.
TEST_F(FiniteWatchTest, ComesBeforeObservers) {
  class Observer : public InputObserver {
   public:
    void Observe(const ConstView&, const RowGroups&) override { ++calls; }
    int calls = 0;
  } observer;
  LinearModule& up = *block_->FindLinear("model.layers.3.up_proj");
  up.observers().push_back(&observer);
  FiniteWatch watch(*block_);
  EXPECT_THAT(TextOf([&] { ForwardLinear(up, Rows(NAN).view(), Groups(&watch), Keep::kPacked); }),
              HasSubstr("up_proj: its input"));
  EXPECT_EQ(observer.calls, 0);
  // Without a watch everything goes on: trial runs with candidate weights may overflow.
  ForwardLinear(up, Rows(NAN).view(), Groups(), Keep::kPacked);
  EXPECT_EQ(observer.calls, 1);
  Tensor large = Rows(0);
  for (int i = 0; i < 8; ++i) large.as<F16>()[i] = ToF16(i % 2 == 0 ? 60000.0f : -60000.0f);
  ForwardLinear(up, large.view(), Groups(&watch), Keep::kPacked);
  EXPECT_THAT(TextOf([&] { watch.Finish(); }), HasSubstr("up_proj: its output is not finite"));
}

}  // namespace
}  // namespace modelslim
