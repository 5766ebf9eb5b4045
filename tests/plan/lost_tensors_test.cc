#include "plan/lost_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "io/checkpoint.h"

namespace modelslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LostTensorsTest : public ::testing::Test {
 protected:
  UnusedTensors Group(std::string_view reason, bool told_only, const std::string& pattern,
                      const std::vector<std::string>& names) {
    UnusedTensors group{reason, "", told_only, pattern, {}};
    for (const std::string& name : names) {
      stored_.push_back(std::make_unique<CheckpointTensor>());
      stored_.back()->name = name;
      stored_.back()->bytes = 1024;
      group.tensors.push_back(stored_.back().get());
    }
    return group;
  }
  std::vector<std::unique_ptr<CheckpointTensor>> stored_;
};

TEST_F(LostTensorsTest, NeedTheUsersWord) {
  const std::vector<UnusedTensors> unused = {
      Group("a tower", false, "visual.blocks.*.weight", {"visual.blocks.0.weight", "visual.blocks.1.weight"}),
      Group("biases", false, "model.layers.*.q_proj.bias", {"model.layers.0.q_proj.bias"}),
      Group("left out", true, "mtp.fc.weight", {"mtp.fc.weight"})};
  const Error error = ErrorOf([&] { CheckLosses(unused, {}, "m"); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("a tower: 2 tensors, 2.00 KiB"), HasSubstr("visual.blocks.0.weight"),
                                  HasSubstr("biases: 1 tensor, 1.00 KiB"), HasSubstr("model.layers.0.q_proj.bias")));
  EXPECT_THAT(error.what(), Not(HasSubstr("mtp")));
  EXPECT_THAT(error.tip(), HasSubstr("--drop 'visual.*' --drop 'model.layers.*.q_proj.bias'"));
  // What the tip says is enough.
  EXPECT_THAT(CheckLosses(unused, {"visual.*", "model.layers.*.q_proj.bias"}, "m"), IsEmpty());
  EXPECT_THAT(CheckLosses(unused, {"*"}, "m"), IsEmpty());
  // A part of it is not.
  EXPECT_THAT(ErrorOf([&] { CheckLosses(unused, {"visual.*"}, "m"); }).what(),
              AllOf(HasSubstr("biases"), Not(HasSubstr("tower"))));
  EXPECT_THAT(ErrorOf([&] {
                CheckLosses(unused, {"visual.blocks.0.*", "*bias"}, "m");
              }).what(),
              HasSubstr("a tower: 1 tensor, 1.00 KiB"));
}

TEST_F(LostTensorsTest, PatternsThatSayNothingAreReturned) {
  EXPECT_THAT(CheckLosses({}, {"visual.*"}, "m"), ElementsAre("visual.*"));
  EXPECT_THAT(CheckLosses({Group("left out", true, "mtp.fc.weight", {"mtp.fc.weight"})}, {"mtp.*", "x"}, "m"),
              ElementsAre("x"));
}

TEST_F(LostTensorsTest, LinesNameEveryGroup) {
  EXPECT_THAT(
      LossLines({Group("a", true, "x.*", {"x.1", "x.2"}), Group("a", true, "y", {"y"}), Group("b", true, "z", {"z"})}),
      ElementsAre("a: 3 tensors, 3.00 KiB", "  x.* (2 tensors, 2.00 KiB, the first is x.1)", "  y (1.00 KiB)",
                  "b: 1 tensor, 1.00 KiB", "  z (1.00 KiB)"));
}

}  // namespace
}  // namespace modelslim
