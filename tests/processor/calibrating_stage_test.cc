#include "processor/linears/calibrating_stage.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/temporary_directory.h"

namespace modelslim {
namespace {

LinearQuantSpec GptqSpec() {
  LinearQuantSpec spec;
  spec.weight_only = true;
  spec.gptq.emplace();
  return spec;
}

Tensor Rows(int64_t rows, int64_t channels) {
  Tensor x(DType::kF32, {rows, channels});
  for (int64_t i = 0; i < x.size(); ++i) x.as<float>()[i] = static_cast<float>((i * 37 + i / channels * 11) % 23) - 11;
  return x;
}

// What the Linears of one input share: one factor, made once, and another only where another is wanted.
TEST(CalibratingStage, FactorsOnceForLinearsThatWantItAlike) {
  const TemporaryDirectory scratch;
  constexpr int64_t kChannels = 12;
  CalibratingStage stage(GptqSpec(), kChannels, scratch.path());
  const Tensor x = Rows(50, kChannels);
  const std::vector<int64_t> offsets = {0, 20, 50};
  stage.Apply(x.view(), {offsets, 0});
  const ConstView first = stage.Factor(0.01f, DType::kF32, "q").upper();
  EXPECT_EQ(stage.Factor(0.01f, DType::kF32, "k").upper().data, first.data);
  EXPECT_EQ(stage.Factor(0.01f, DType::kBF16, "v").dtype(), DType::kBF16);
  EXPECT_EQ(stage.Factor(0.5f, DType::kF32, "v").percdamp(), 0.5f);

  Hessian hessian(kChannels);
  hessian.Add(x.view());
  const GptqFactor plain(hessian.Value().view(), 0.01f, DType::kF32);
  const ConstView again = stage.Factor(0.01f, DType::kF32, "q").upper();
  EXPECT_EQ(std::vector<float>(again.as<float>(), again.as<float>() + again.size()),
            std::vector<float>(plain.upper().as<float>(), plain.upper().as<float>() + again.size()));
}

}  // namespace
}  // namespace modelslim
