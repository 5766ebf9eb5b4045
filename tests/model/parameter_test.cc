#include "model/parameter.h"

#include <gtest/gtest.h>

#include "fake_source.h"

namespace modelslim {
namespace {

class ParameterTest : public testing::Test {
 protected:
  static void Double(const View& w) {
    for (int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] *= 2;
  }
  static void Negate(const View& w) {
    for (int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] *= -1;
  }
  std::vector<float> Values() {
    const ConstView view = parameter_.Get();
    return {view.as<float>(), view.as<float>() + view.size()};
  }

  FakeSource source_;
  ParamInfo info_{.name = "w", .shape = {3}, .dtype = DType::kF32, .scale_name = "", .alias_of = ""};
  Parameter parameter_{info_, source_};
  const std::vector<float> original_ = Values();
};

TEST_F(ParameterTest, TransformsSurviveARelease) {
  parameter_.Transform(Double);
  parameter_.Release();
  parameter_.Transform(Negate);
  const std::vector<float> want = {-2 * original_[0], -2 * original_[1], -2 * original_[2]};
  EXPECT_EQ(Values(), want);
  EXPECT_TRUE(parameter_.modified());
}

TEST_F(ParameterTest, ATrialReplacesTheOneBeforeAndEnds) {
  parameter_.Transform(Double);
  const std::vector<float> before = Values(), doubled = {2 * before[0], 2 * before[1], 2 * before[2]};
  uint64_t version = parameter_.version();
  for (int i = 0; i < 2; ++i) {
    parameter_.Try(Double);
    EXPECT_GT(parameter_.version(), version);
    version = parameter_.version();
    EXPECT_EQ(Values(), doubled);
  }
  const int loads = source_.loads;
  parameter_.Release();
  EXPECT_EQ(Values(), doubled);
  EXPECT_EQ(source_.loads, loads + 1) << "a trial keeps nothing in memory";
  parameter_.EndTrial();
  EXPECT_GT(parameter_.version(), version);
  EXPECT_EQ(Values(), before);
}

TEST_F(ParameterTest, ATrialOfWhatCannotBeReadAgain) {
  parameter_.Mutable().as<float>()[1] = 9;
  const std::vector<float> before = Values();
  for (int i = 0; i < 2; ++i) {
    parameter_.Try(Negate);
    parameter_.Release();
    EXPECT_EQ(Values()[1], -9);
  }
  parameter_.EndTrial();
  EXPECT_EQ(Values(), before);
  parameter_.EndTrial();
  EXPECT_EQ(Values(), before);
}

}  // namespace
}  // namespace modelslim
