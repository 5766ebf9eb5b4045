#include "text/regex.h"

#include "text/test_support.h"

namespace modelslim {
namespace {

// The matches, joined by '|'.
std::string Matches(const std::string& pattern, const std::string& text) {
  std::vector<TextRange> found;
  Regex(pattern, "here").FindAll(text, found);
  std::string joined;
  for (const TextRange& match : found) joined += text.substr(match.begin, match.end - match.begin) + "|";
  return joined;
}

TEST(Regex, WhiteSpaceIsThePropertyOfUnicode) {
  // PCRE2's own \s has U+180E and, in classes, misses nothing; Oniguruma's is White_Space.
  EXPECT_EQ(Matches(R"(\s)", "\u180e\u0085\u00a0\u200b\u3000"), "\u0085|\u00a0|\u3000|");
  EXPECT_EQ(Matches(R"([^\s]+)", "a\u180eb\u0085c"), "a\u180eb|c|");
  EXPECT_EQ(Matches(R"([^\S\n]+)", "a \t\n b"), " \t| |");
}

TEST(Regex, LookaheadGivesTheLastBlankBack) { EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+)", "a   b  "), "  | |  |"); }

TEST(Regex, OnigurumaMeansOtherThingsByTheSameLetters) {
  EXPECT_EQ(Matches(R"(\h+)", "xyzBEEFx 12g"), "BEEF|12|");  // hexadecimal digits
  EXPECT_EQ(Matches(R"(\v)", "\n\x0b"), "\x0b|");            // one character
  EXPECT_EQ(Matches(R"((?m:a.b))", "a\nb"), "a\nb|");        // m lets the dot match a newline
  EXPECT_EQ(Matches(R"(a.b)", "a\nb"), "");
  EXPECT_EQ(Matches(R"(^b$)", "a\nb\nc"), "b|");           // always by line
  EXPECT_EQ(Matches(R"(a(?i)b|c)", "aB ac C"), "aB|ac|");  // the option holds over the alternative
  EXPECT_EQ(Matches(R"(x{,2}y)", "xxxy"), "xxy|");         // {,n} counts from zero
  EXPECT_EQ(Matches(R"([]a]+)", "]a["), "]a|");
  EXPECT_EQ(Matches(R"(\w+)", "a\u0301\u200d_\u0663"), "a\u0301|_\u0663|");
  EXPECT_EQ(Matches(R"(\p{Han}+)", "\u4e2d\u3001\u56fd"), "\u4e2d|\u56fd|");  // scripts without their extensions
  EXPECT_EQ(Matches(R"(\p{^L}+|\p{Letter})", "a1"), "a|1|");
  EXPECT_EQ(Matches(R"((?i:'s))", "'S '\u017f"), "'S|'\u017f|");  // the long s folds to s
}

// Which characters of the alphabet a class holds, as tokenizers 0.23.3 (Oniguruma) says.
TEST(Regex, ClassesInsideClassesAndIntersections) {
  const std::vector<std::string> alphabet = {"a", "b", "c", "d",  "e", "f", "-",     "^",
                                             "&", "]", "[", "\n", "1", "_", "\u4e2d"};
  const std::pair<const char*, const char*> table[] = {{"[a-c&&[^b]]", "ac"},
                                                       {"[a-f&&b-d]", "bcd"},
                                                       {"[a-f&&c-f&&[^e]]", "cdf"},
                                                       {"[a-c&&b^]", "b"},
                                                       {"[ab&&^]", ""},
                                                       {"[a-c&&\\^b]", "b"},
                                                       {"[^a&&[b]]", "abcdef-^&][\n1_\u4e2d"},
                                                       {"[^[a-c]&&[b-d]]", "adef-^&][\n1_\u4e2d"},
                                                       {"[a&&]", ""},
                                                       {"[&&a]", ""},
                                                       {"[a&&&b]", ""},
                                                       {"[&a&&a]", "a"},
                                                       {"[a&]", "a&"},
                                                       {"[-[b]]", "b-"},
                                                       {"[[b]-d]", "bd-"},
                                                       {"[a&&-a]", "a"},
                                                       {"[a-&&a]", "a"},
                                                       {"[a&&[]]]", ""},
                                                       {"[a[bc]d]", "abcd"},
                                                       {"[a[^b]]", "acdef-^&][\n1_\u4e2d"},
                                                       {"[^a[^b]]", "b"},
                                                       {"[[^a]b&&[^b]]", "cdef-^&][\n1_\u4e2d"},
                                                       {"[\\W]", "-^&][\n"},
                                                       {"[^\\W]", "abcdef1_\u4e2d"},
                                                       {"[a-c\\W]", "abc-^&][\n"},
                                                       {"[a[:digit:]&&1]", "1"},
                                                       {"[[:alpha:]&&[^b]]", "acdef\u4e2d"},
                                                       {"[\\p{L}&&[^\\p{Han}]]", "abcdef"}};
  for (const auto& [pattern, members] : table) {
    std::string found;
    for (const std::string& character : alphabet) found += Matches(pattern, character).empty() ? "" : character;
    std::string expected;
    for (const std::string& character : alphabet) {
      if (std::string_view(members).find(character) != std::string_view::npos) expected += character;
    }
    EXPECT_EQ(found, expected) << pattern;
  }
  EXPECT_EQ(Matches("[a-z&&[^aeiou]]+", "quickly"), "q|ckly|");
  EXPECT_EQ(Matches("(?i:[a-z&&[^k]])+", "AkB"), "A|B|");
  EXPECT_EQ(Matches("[a[b]-d]+", "abc-d"), "ab|-d|");
}

TEST(Regex, EmptyMatchesBehindAMatchAreSkipped) {
  std::vector<TextRange> found;
  Regex("x*", "here").FindAll("axxb", found);
  const std::vector<TextRange> expected = {{0, 0}, {1, 3}, {4, 4}};
  EXPECT_EQ(found, expected);
}

TEST(Regex, EscapedTextMatchesItself) {
  const std::string all = "a.b*c+d?(e)[f]{g}|h^i$j\\k-l#m&n~o \n";
  EXPECT_EQ(Matches(EscapeRegex(all), "<" + all + ">"), all + "|");
}

TEST(Regex, RefusesWhatItCannotExpress) {
  const std::string deep = std::string(200, '[') + "a" + std::string(200, ']');
  for (const char* pattern : {deep.c_str(), "[a-[b]]", "[a&&b", "[a[b]", "(?~a)", "a{2,3}+", "\\g<x>", "(", "[a",
                              "\\p{L", "\\", "(?<n>a)\\k<n>", "(?x: a)", "\\p{Klingon}"}) {
    const Error error = ErrorOf([&] { Regex(pattern, "t.json: /x"); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << pattern;
    EXPECT_EQ(std::string(error.what()).find("t.json: /x"), 0U) << error.what();
  }
  EXPECT_EQ(ErrorOf([] { Regex(std::string(70000, 'a'), "w"); }).code(), ErrorCode::kUnsupported);
}

TEST(Regex, RunawayPatternsStop) {
  const Error error = ErrorOf([] {
    std::vector<TextRange> found;
    Regex("(?:a|aa)+(?=[cd])", "w").FindAll(std::string(60, 'a'), found);
  });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace modelslim
