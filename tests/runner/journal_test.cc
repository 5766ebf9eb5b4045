#include "runner/journal.h"

#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace modelslim {
namespace {

class JournalTest : public testing::Test {
 protected:
  void WriteTwoUnits() {
    Journal journal(path_, "run", false);
    journal.Append({0, {{"a", "11"}}, {{"hidden-1", "BF16", "22"}, {"hidden-1-0", "F32", "44"}}, "[]"});
    journal.Append({1, {{"b", "33"}}, {}, ""});
  }

  const TemporaryDirectory directory_;
  const fs::path path_ = directory_ / "journal.jsonl";
};

TEST_F(JournalTest, GivesBackWhatWasFinished) {
  WriteTwoUnits();
  const Journal journal(path_, "run", false);
  ASSERT_EQ(journal.finished().size(), 2u);
  EXPECT_EQ(journal.finished()[0].hashes.at("a"), "11");
  ASSERT_EQ(journal.finished()[0].hidden.size(), 2u);
  EXPECT_EQ(journal.finished()[0].hidden[0].file, "hidden-1");
  EXPECT_EQ(journal.finished()[0].hidden[1].dtype, "F32");
  EXPECT_EQ(journal.finished()[0].facts, "[]");
  EXPECT_TRUE(journal.finished()[1].hidden.empty());
}

TEST_F(JournalTest, AnotherRunStartsOver) {
  WriteTwoUnits();
  {
    const Journal journal(path_, "other", false);
    EXPECT_TRUE(journal.finished().empty());
    EXPECT_TRUE(journal.replaced_other());
  }
  EXPECT_TRUE(Journal(path_, "run", false).finished().empty());
}

TEST_F(JournalTest, FreshForgets) {
  WriteTwoUnits();
  EXPECT_TRUE(Journal(path_, "run", true).finished().empty());
}

// Cut anywhere, the journal holds the units whose lines are whole, and can be continued.
TEST_F(JournalTest, SurvivesEveryTruncation) {
  WriteTwoUnits();
  const std::string whole = ReadTextFile(path_);
  size_t lines_end[3], found = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == '\n') lines_end[found++] = i + 1;
  }
  for (size_t length = 0; length <= whole.size(); ++length) {
    WriteFileAtomically(path_, whole.substr(0, length));
    const size_t expected = length >= lines_end[2] ? 2 : length >= lines_end[1] ? 1 : 0;
    {
      Journal journal(path_, "run", false);
      EXPECT_EQ(journal.finished().size(), expected) << length;
      journal.Append({7, {}, std::vector<SavedHidden>{}, ""});
    }
    const Journal again(path_, "run", false);
    ASSERT_EQ(again.finished().size(), expected + 1) << length;
    EXPECT_EQ(again.finished().back().unit, 7);
  }
}

// Python's JSON can hold a name with half a surrogate pair, and so can a header of weights.
TEST_F(JournalTest, NamesThatAreNoTextComeBack) {
  const std::string name = "a\xed\xa0\x80\n\u4e2d";
  Journal(path_, "run", false).Append({0, {{name, "00"}}, std::vector<SavedHidden>{}, ""});
  const Journal again(path_, "run", false);
  ASSERT_EQ(again.finished().size(), 1u);
  EXPECT_EQ(again.finished()[0].hashes, (std::map<std::string, std::string>{{name, "00"}}));
}

TEST_F(JournalTest, GarbageInTheMiddleEndsIt) {
  WriteTwoUnits();
  std::string text = ReadTextFile(path_);
  text.replace(text.find("\"unit\":1"), 8, "\"unit\"::");
  WriteFileAtomically(path_, text);
  EXPECT_EQ(Journal(path_, "run", false).finished().size(), 1u);
}

TEST_F(JournalTest, ANumberThatCannotBeEndsIt) {
  for (const char* const number : {"-1", "1e300", "1.0", "99999999999", "10000000000000000000000", "\"1\"", "null"}) {
    fs::remove(path_);
    WriteTwoUnits();
    std::string text = ReadTextFile(path_);
    text.replace(text.find("\"unit\":1"), 8, std::string("\"unit\":") + number);
    WriteFileAtomically(path_, text);
    EXPECT_EQ(Journal(path_, "run", false).finished().size(), 1u) << number;
  }
}

}  // namespace
}  // namespace modelslim
