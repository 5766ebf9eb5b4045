#include "config/patterns/pattern.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "config/patterns/pattern_list.h"
#include "config/test_data.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;

bool Matches(std::string_view pattern, std::string_view name) { return CompiledPattern(pattern).Matches(name); }

TEST(Pattern, AgreesWithTheReferenceLibrary) {
  size_t wrong = 0, matched = 0;
  for (const std::string& line : Lines(SourceDir() / "tests/golden/config/patterns.txt")) {
    const std::vector<std::string> parts = Split(line, '\t');
    ASSERT_EQ(parts.size(), 3u) << line;
    matched += parts[2] == "1";
    const bool got = Matches(parts[0], parts[1]);
    if (got != (parts[2] == "1") && ++wrong <= 20) ADD_FAILURE() << parts[0] << " on " << parts[1] << ": got " << got;
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(matched, 800u);
}

TEST(Pattern, Expansion) {
  EXPECT_THAT(ExpandBraces("a{b,c{1..2}}d"), ElementsAre("abd", "ac1d", "ac2d"));
  EXPECT_THAT(ExpandBraces("{08..10}"), ElementsAre("08", "09", "10"));
  EXPECT_THAT(ExpandBraces("{0..10..5}"), ElementsAre("0", "5", "10"));
  EXPECT_THAT(ExpandBraces("{-01..1}"), ElementsAre("-01", "000", "001"));
  EXPECT_THAT(ExpandBraces("{x}"), ElementsAre("{x}"));
  EXPECT_THAT(ExpandBraces("{a,{b,c}"), ElementsAre("{a,b", "{a,c"));
  EXPECT_THAT(ExpandBraces("a{},b}c"), ElementsAre("a}c", "abc"));
  EXPECT_THAT(ExpandBraces("${a,b}"), ElementsAre("${a,b}"));
}

TEST(Pattern, ExpansionIsLimited) {
  EXPECT_EQ(ExpandBraces("{1..1000}").size(), 1000u);
  EXPECT_THROW(ExpandBraces("{1..1001}"), Error);
  EXPECT_THROW(ExpandBraces("{1..999999999999}"), Error);
  EXPECT_THROW(ExpandBraces("{1..100}{1..100}"), Error);
  std::string many;
  for (int i = 0; i < 30; ++i) many += "{a,b}";
  EXPECT_THROW(ExpandBraces(many), Error);
  EXPECT_EQ(ExpandBraces(std::string(100000, '{')).size(), 1u);
}

TEST(Pattern, ModuleNames) {
  EXPECT_TRUE(Matches("*", "model.layers.0.mlp.down_proj"));
  EXPECT_TRUE(Matches("*.{0,1}.mlp.{gate,up}_proj", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(Matches("*.{0,1}.mlp.{gate,up}_proj", "model.layers.2.mlp.up_proj"));
  EXPECT_FALSE(Matches("*.{0,1}.mlp.{gate,up}_proj", "model.layers.11.mlp.up_projx"));
  EXPECT_TRUE(Matches("model.layers.{0..60}.mlp.*", "model.layers.60.mlp.gate"));
  EXPECT_FALSE(Matches("model.layers.{0..60}.mlp.*", "model.layers.61.mlp.gate"));
  EXPECT_TRUE(Matches("[a]", "[a]"));  // equal to the name
  EXPECT_FALSE(Matches("", "x"));
  EXPECT_TRUE(Matches("", ""));
  EXPECT_FALSE(Matches("*", ".x"));
}

// A slow matcher without cleverness: every alternative, every way to spend a star.
bool SlowMatch(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= name.size(); ++i) {
      if (SlowMatch(pattern.substr(1), name.substr(i))) return true;
    }
    return false;
  }
  if (name.empty()) return false;
  if (pattern[0] == '[') {
    const size_t end = pattern.find(']', 1);
    const bool negated = pattern[1] == '!';
    const bool in = pattern.substr(1, end - 1).find(name[0]) != std::string_view::npos && !(negated && name[0] == '!');
    return in != negated && SlowMatch(pattern.substr(end + 1), name.substr(1));
  }
  return (pattern[0] == '?' || pattern[0] == name[0]) && SlowMatch(pattern.substr(1), name.substr(1));
}

TEST(Pattern, AgreesWithASlowReference) {
  std::mt19937 random(5);
  const auto below = [&](unsigned n) { return static_cast<size_t>(random() % n); };
  const std::vector<std::string> pieces{"*", "?", "a", "b", ".", "ab", "[ab]", "[!a]", "b.", "a.b"};
  for (int round = 0; round < 60000; ++round) {
    // A pattern as a tree of choices, so that its alternatives are known without any brace parser.
    std::vector<std::string> alternatives{""};
    std::string pattern;
    for (size_t i = 1 + below(5); i-- > 0;) {
      std::vector<std::string> options;
      for (size_t n = below(4) == 0 ? 2 + below(4) : 1; n-- > 0;) options.push_back(pieces[below(10)]);
      std::string text;
      for (const std::string& each : options) text += (text.empty() ? "" : ",") + each;
      pattern += options.size() > 1 ? "{" + text + "}" : text;
      std::vector<std::string> next;
      for (const std::string& head : alternatives) {
        for (const std::string& tail : options) next.push_back(head + tail);
      }
      alternatives = std::move(next);
    }
    if (alternatives.size() > kMaxPatternExpansions) continue;
    std::string name = "a";
    for (size_t i = below(8); i-- > 0;) name += "ab."[below(3)];
    const bool expected = name == pattern || std::any_of(alternatives.begin(), alternatives.end(),
                                                         [&](const std::string& a) { return SlowMatch(a, name); });
    ASSERT_EQ(Matches(pattern, name), expected) << pattern << " on " << name;
  }
}

TEST(Pattern, ManyStarsStayFast) {
  std::string pattern, name(5000, 'a');
  for (int i = 0; i < 60; ++i) pattern += "*a";
  EXPECT_FALSE(Matches(pattern + "*b", name));
  EXPECT_FALSE(Matches(pattern + "*[b]", name));
}

TEST(PatternList, EmptyListsMeanWhatTheProcessorSays) {
  EXPECT_TRUE(Selection::All(EmptyList::kNothing).Selects("x"));
  EXPECT_TRUE(Selection::All(EmptyList::kEverything).Selects("x"));
  Selection nothing = Selection::All(EmptyList::kNothing);
  nothing.include.items.clear();
  EXPECT_FALSE(nothing.Selects("x"));
  Selection selection = Selection::All(EmptyList::kEverything);
  selection.exclude.Add("");
  EXPECT_TRUE(selection.Selects("x"));
  selection.exclude.Add("x*");
  EXPECT_FALSE(selection.Selects("xy"));
  selection.include.Add("x*");
  selection.include.Add("*");
  EXPECT_THAT(selection.include.MatchingPatterns("x"), ElementsAre(0u, 1u));
}

}  // namespace
}  // namespace modelslim
