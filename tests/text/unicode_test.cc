#include "text/unicode.h"

#include <gtest/gtest.h>

#include <string>

#include "text/byte_level.h"

namespace modelslim {
namespace {

TEST(Unicode, FindsTheFirstBadByte) {
  EXPECT_EQ(FirstInvalidUtf8(""), std::string::npos);
  EXPECT_EQ(FirstInvalidUtf8("a\u00e9\u4e2d\U0001F600"), std::string::npos);
  EXPECT_EQ(FirstInvalidUtf8(std::string("a\0b", 3)), std::string::npos);
  EXPECT_EQ(FirstInvalidUtf8("ab\x80"), 2U);
  EXPECT_EQ(FirstInvalidUtf8("\xC0\x80"), 0U);          // overlong
  EXPECT_EQ(FirstInvalidUtf8("\xE0\x9F\xBF"), 0U);      // overlong
  EXPECT_EQ(FirstInvalidUtf8("x\xED\xA0\x80"), 1U);     // surrogate
  EXPECT_EQ(FirstInvalidUtf8("\xF4\x90\x80\x80"), 0U);  // above U+10FFFF
  EXPECT_EQ(FirstInvalidUtf8("\xE4\xB8"), 0U);          // cut off
}

TEST(Unicode, EncodesAndDecodesEveryLength) {
  for (const char32_t c : {0x0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string text = "x";
    AppendUtf8(text, c);
    EXPECT_EQ(FirstInvalidUtf8(text), std::string::npos);
    EXPECT_EQ(DecodeUtf8(text.data() + 1).code, c);
    EXPECT_EQ(DecodeUtf8(text.data() + 1).size, text.size() - 1);
    EXPECT_EQ(DecodeLastUtf8(text).code, c);
  }
}

TEST(Unicode, Classes) {
  EXPECT_EQ(CharClass('A'), kCharLetter | kCharUpper);
  EXPECT_EQ(CharClass(0x4E2D), kCharLetter);
  EXPECT_EQ(CharClass('7'), kCharNumber);
  EXPECT_EQ(CharClass(0x301), kCharMark);
  EXPECT_EQ(CharClass('$'), kCharSymbol);
  for (const char32_t space : {0x09U, 0x0DU, 0x20U, 0x85U, 0xA0U, 0x2028U, 0x3000U}) {
    EXPECT_EQ(CharClass(space), kCharSpace) << std::hex << static_cast<uint32_t>(space);
  }
  EXPECT_EQ(CharClass(0x180E), 0);  // was white space until Unicode 6.3
  EXPECT_EQ(CharClass(0x200B), 0);
}

TEST(ByteLevel, StandInsOfAllBytesAreDifferentAndPrintable) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string text, back;
  AppendByteStandIns(text, all);
  ASSERT_TRUE(BytesOfStandIns(text, back));
  EXPECT_EQ(back, all);
  std::string space;
  AppendByteStandIns(space, " \n");
  EXPECT_EQ(space, "\u0120\u010A");
  EXPECT_FALSE(BytesOfStandIns("a b", back));
}

}  // namespace
}  // namespace modelslim
