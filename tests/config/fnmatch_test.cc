#include "config/patterns/fnmatch.h"

#include <gtest/gtest.h>

#include <string>

namespace modelslim {
namespace {

// Every expectation was checked with fnmatch.fnmatchcase of Python 3.11.
struct Case {
  const char* pattern;
  const char* name;
  bool matches;
};

TEST(FnMatch, AsPython) {
  const Case cases[] = {
      {"*", "model.layers.0.mlp.up_proj", true},
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"*", ".a", true},
      {"*.mlp.*", "model.layers.0.mlp.up_proj", true},
      {"*.mlp", "model.layers.0.mlp.up_proj", false},
      {"*layers.1.*", "model.layers.11.mlp", false},
      {"model.layers.?.mlp", "model.layers.3.mlp", true},
      {"model.layers.?.mlp", "model.layers.13.mlp", false},
      {"*a*b*c", "xaybzbc", true},
      {"*a*b*c", "xaybzbcd", false},
      {"**", "abc", true},
      {"[0-3].x", "2.x", true},
      {"[0-3].x", "4.x", false},
      {"[!0-3].x", "4.x", true},
      {"[!0-3].x", "3.x", false},
      {"[^a]", "b", false},
      {"[^a]", "^", true},
      {"[a-]", "-", true},
      {"[-a]", "-", true},
      {"[a-b-c]", "-", true},
      {"[a-b-c]", "c", true},
      {"[z-a]", "m", false},
      {"[!z-a]", "m", true},
      {"[]]", "]", true},
      {"[!]]", "]", false},
      {"[!]]", "a", true},
      {"[]", "[]", true},
      {"[!]", "[!]", true},
      {"a[b", "a[b", true},
      {"[[:digit:]]", "5", false},
      {"{a,b}", "a", false},
      {"{a,b}", "{a,b}", true},
      {"\\*", "*", false},
      {"\\*", "\\x", true},
      {"UP", "up", false},
      {"a?", "a\n", true},
  };
  for (const Case& each : cases)
    EXPECT_EQ(FnMatch(each.pattern, each.name), each.matches) << each.pattern << " on " << each.name;
}

TEST(FnMatch, ManyStarsEndSoon) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(FnMatch(pattern + "b", std::string(4000, 'a')));
}

}  // namespace
}  // namespace modelslim
