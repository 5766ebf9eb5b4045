#include "model/parameter.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

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

// Hands out one tensor, as a checkpoint hands out its mapping.
class MappingSource : public WeightSource {
 public:
  std::optional<SharedTensor> Map(const ParamInfo&) const override { return stored; }
  Tensor Load(const ParamInfo&) const override { return Tensor::Copy(stored.view()); }
  void WillNeed(const ParamInfo&) const override {}
  void DontNeed(const ParamInfo&) const override {}
  SharedTensor stored;
};

class ParameterRowsTest : public testing::Test {
 protected:
  static std::vector<float> Values(const ConstView& view) { return {view.as<float>(), view.as<float>() + view.size()}; }
  static std::vector<float> Values(const Tensor& tensor) { return Values(tensor.view()); }
  // Of row and column, so that every row changes in its own way, and alike wherever it stands.
  static void AddColumn(const View& w) {
    for (int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] += 10.0f * static_cast<float>(i % w.cols());
  }

  FakeSource source_;
  ParamInfo info_{.name = "table", .shape = {7, 3}, .dtype = DType::kF32, .scale_name = "", .alias_of = ""};
};

TEST_F(ParameterRowsTest, AreThoseOfTheWhole) {
  Parameter parameter(info_, source_), whole(info_, source_);
  for (Parameter* const each : {&parameter, &whole}) each->Transform(AddColumn, Parameter::Reach::kRows);
  ASSERT_TRUE(parameter.ComesInRows());
  const std::vector<float> all = Values(whole.Get());
  EXPECT_FALSE(whole.ComesInRows()) << "it is in memory";
  EXPECT_EQ(Values(parameter.LoadRows(2, 5)), std::vector<float>(all.begin() + 6, all.begin() + 15));
  const std::vector<int32_t> ids = {6, 0, 0, 3};
  std::vector<float> expected;
  for (const int32_t id : ids) expected.insert(expected.end(), all.begin() + id * 3, all.begin() + id * 3 + 3);
  EXPECT_EQ(Values(parameter.LookUp(ids)), expected);
  EXPECT_EQ(Values(whole.LookUp(ids)), expected);
  EXPECT_TRUE(parameter.ComesInRows()) << "looking up leaves nothing in memory";
  for (const int32_t wrong : {-1, 7}) {
    EXPECT_THROW(parameter.LookUp(std::vector<int32_t>{0, wrong}), Error);
    EXPECT_THROW(whole.LookUp(std::vector<int32_t>{0, wrong}), Error);
  }
}

TEST_F(ParameterRowsTest, OnlyWhereNothingReachesFurther) {
  Parameter parameter(info_, source_);
  parameter.Transform(AddColumn, Parameter::Reach::kRows);
  parameter.Transform(AddColumn);
  EXPECT_FALSE(parameter.ComesInRows());
  Parameter changed(info_, source_);
  changed.Mutable();
  EXPECT_FALSE(changed.ComesInRows());
  info_.shape = {21};
  Parameter vector(info_, source_);
  vector.Transform(AddColumn, Parameter::Reach::kRows);
  EXPECT_FALSE(vector.ComesInRows());
}

TEST(MappedParameterTest, KeepsWhatItHandsOutUntilItChanges) {
  MappingSource source;
  Tensor ones(DType::kF32, {2});
  ones.as<float>()[0] = ones.as<float>()[1] = 1;
  source.stored = std::move(ones);
  const ParamInfo info{.name = "w", .shape = {2}, .dtype = DType::kF32, .scale_name = "", .alias_of = ""};
  Parameter parameter(info, source);
  EXPECT_EQ(parameter.Get().data, source.stored.view().data);
  const SharedTensor shared = parameter.Take();
  EXPECT_EQ(shared.view().data, source.stored.view().data) << "no copy of what is mapped";

  parameter.Transform([](const View& w) { w.as<float>()[0] = 2; });
  EXPECT_EQ(parameter.Get().as<float>()[0], 2);
  EXPECT_EQ(shared.view().as<float>()[0], 1);
  const SharedTensor changed = parameter.Take();
  EXPECT_EQ(changed.view().as<float>()[0], 2);
  EXPECT_EQ(parameter.Get().as<float>()[0], 2) << "made again after it was given away";

  parameter.Mutable().as<float>()[1] = 3;
  const void* const made = parameter.Get().data;
  const SharedTensor last = parameter.Take();
  EXPECT_EQ(last.view().as<float>()[1], 3);
  EXPECT_EQ(last.view().data, made) << "given away, not copied";
  EXPECT_EQ(changed.view().as<float>()[1], 1);
}

}  // namespace
}  // namespace modelslim
