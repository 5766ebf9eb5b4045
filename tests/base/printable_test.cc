#include "base/printable.h"

#include <gtest/gtest.h>

namespace modelslim {
namespace {

struct Case {
  std::string text, shown;
};

TEST(Printable, EscapesWhatATerminalWouldObey) {
  const std::vector<Case> cases = {
      {"model.norm.weight", "model.norm.weight"},
      {"two\nlines\tand a tab", "two\nlines\tand a tab"},
      {"\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"bell\a back\b return\r", "bell\\x07 back\\x08 return\\x0d"},
      {"del\x7f", "del\\u007f"},
      {"\xc2\x9b"
       "31m",
       "\\u009b31m"},  // CSI as one character
      {"\x9b"
       "31m",
       "\\x9b31m"},  // and as a byte, for terminals that are not UTF-8
      {"\xe2\x80\xae"
       "gnp.exe",
       "\\u202egnp.exe"},
      {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"},
      {"\xd8\x9c|\xe2\x80\x8f|\xe2\x80\xa8", "\\u061c|\\u200f|\\u2028"},
      {"量化 Grüße 👩\xe2\x80\x8d👧", "量化 Grüße 👩\xe2\x80\x8d👧"},
      {"cut \xe9\x87", "cut \\xe9\\x87"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // a surrogate
      {"", ""},
  };
  for (const Case& each : cases) EXPECT_EQ(Printable(each.text), each.shown);
}

TEST(Printable, InsideASentenceThereAreNoLines) {
  std::string out = "'";
  AppendPrintable(out, "a\nb\tc", Layout::kNone);
  EXPECT_EQ(out, "'a\\x0ab\\x09c");
}

TEST(Printable, TailOfACharacterThatIsNotComplete) {
  EXPECT_EQ(IncompleteUtf8Tail("abc"), 0u);
  EXPECT_EQ(IncompleteUtf8Tail("ab\xe9"), 1u);
  EXPECT_EQ(IncompleteUtf8Tail("ab\xe9\x87"), 2u);
  EXPECT_EQ(IncompleteUtf8Tail("ab\xe9\x87\x8f"), 0u);
  EXPECT_EQ(IncompleteUtf8Tail("\xf0\x9f\x91"), 3u);
  EXPECT_EQ(IncompleteUtf8Tail("\x80\x80\x80\x80"), 0u);
  EXPECT_EQ(IncompleteUtf8Tail(""), 0u);
}

}  // namespace
}  // namespace modelslim
