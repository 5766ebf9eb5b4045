#include "base/words.h"

#include <gtest/gtest.h>

namespace modelslim {
namespace {

TEST(Words, OneIsNotSeveral) {
  EXPECT_EQ(Counted(0, "layer"), "0 layers");
  EXPECT_EQ(Counted(1, "layer group"), "1 layer group");
  EXPECT_EQ(Counted(2, "layer"), "2 layers");
}

TEST(Words, AreJoined) {
  EXPECT_EQ(Joined({}), "");
  EXPECT_EQ(Joined({"a"}), "a");
  EXPECT_EQ(Joined({"a", "b", "c"}), "a, b, c");
}

TEST(Words, LowerLeavesWhatIsNoLetter) { EXPECT_EQ(LowerAscii("YaRN_2 \xc3\x84"), "yarn_2 \xc3\x84"); }

}  // namespace
}  // namespace modelslim
