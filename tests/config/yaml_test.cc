#include "io/yaml.h"

#include <gmock/gmock.h>

#include <cmath>

#include "config/test_data.h"

namespace modelslim {
namespace {

using ::testing::HasSubstr;

YamlNodePtr Read(const std::string& text) { return ParseYamlOrThrow(text, "t.yaml"); }

std::string ProblemOf(const std::string& text) {
  const YamlDocument document = ParseYaml(text);
  if (document.problems.empty()) return "none";
  const YamlProblem& p = document.problems[0];
  return std::to_string(p.pos.line) + ":" + std::to_string(p.pos.column) + " " + p.message;
}

TEST(Yaml, ScalarsResolveAsPyYaml) {
  size_t count = 0;
  for (const std::string& line : Lines(SourceDir() / "tests/golden/config/yaml_scalars.txt")) {
    const std::vector<std::string> parts = Split(line, '\t');
    ASSERT_EQ(parts.size(), 3u) << line;
    const YamlNodePtr root = Read("- " + parts[0]);
    const YamlNode& node = *root->items.at(0);
    ++count;
    if (parts[1] == "null") {
      EXPECT_EQ(node.kind, YamlKind::kNull) << parts[0];
    } else if (parts[1] == "bool") {
      ASSERT_EQ(node.kind, YamlKind::kBool) << parts[0];
      EXPECT_EQ(node.boolean, parts[2] == "true") << parts[0];
    } else if (parts[1] == "int") {
      ASSERT_EQ(node.kind, YamlKind::kInt) << parts[0];
      if (node.integer_ok) {
        EXPECT_EQ(std::to_string(node.integer), parts[2]) << parts[0];
      } else {
        EXPECT_GE(parts[2].size(), 19u) << parts[0];
      }
    } else if (parts[1] == "float") {
      ASSERT_EQ(node.kind, YamlKind::kFloat) << parts[0];
      const double expected = std::strtod(parts[2].c_str(), nullptr);
      EXPECT_TRUE(node.number == expected || (std::isnan(node.number) && std::isnan(expected))) << parts[0];
    } else {
      EXPECT_EQ(node.kind, YamlKind::kString) << parts[0];
      EXPECT_EQ(node.text, parts[0]);
    }
  }
  EXPECT_GT(count, 1000u);
}

TEST(Yaml, QuotedScalarsAreStrings) {
  const YamlNodePtr root = Read("a: \"1\"\nb: 'true'\nc: |\n  2\nd: !!str 5\ne: !!float 5\n");
  for (const char* key : {"a", "b", "c", "d"}) EXPECT_EQ(root->Find(key)->value->kind, YamlKind::kString) << key;
  EXPECT_EQ(root->Find("e")->value->kind, YamlKind::kFloat);
}

TEST(Yaml, PlacesOfKeysAndValues) {
  const YamlNodePtr root = Read("# c\na:\n  - b: 'x'\n    c: 3\n");
  EXPECT_EQ(root->entries[0].key_pos, (SourcePos{2, 1}));
  const YamlNode& item = *root->Find("a")->value->items[0];
  EXPECT_EQ(item.Find("b")->value->pos, (SourcePos{3, 8}));
  EXPECT_EQ(item.Find("c")->key_pos, (SourcePos{4, 5}));
}

TEST(Yaml, MergeKeys) {
  const YamlNodePtr root =
      Read("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], z: 5}\nd: {<<: *a, <<: *b}\n\"<<\": 1\n");
  const YamlNode& c = *root->Find("c")->value;
  EXPECT_EQ(c.Find("x")->value->integer, 1);
  EXPECT_EQ(c.Find("y")->value->integer, 2);  // the earlier mapping of the list wins
  EXPECT_EQ(c.Find("z")->value->integer, 5);  // and an own key over both
  EXPECT_EQ(c.entries.size(), 3u);
  EXPECT_EQ(root->Find("d")->value->Find("y")->value->integer, 3);
  EXPECT_NE(root->Find("<<"), nullptr);  // quoted: an ordinary key
}

TEST(Yaml, DuplicateKeysWarnAndTheLastWins) {
  const YamlDocument document = ParseYaml("a: 1\nb: 2\na: 3\n1: x\n0x1: y\n");
  ASSERT_EQ(document.warnings.size(), 2u);
  EXPECT_EQ(document.warnings[0].pos, (SourcePos{3, 1}));
  EXPECT_THAT(document.warnings[0].message, HasSubstr("first at line 1, column 1"));
  EXPECT_EQ(document.root->Find("a")->value->integer, 3);
}

TEST(Yaml, RefusesWhatIsNoPlainData) {
  EXPECT_EQ(ProblemOf("a: !!python/object:os.system x"), "1:4 the tag !!python/object:os.system is not allowed");
  EXPECT_EQ(ProblemOf("a: \"x\nb: 1\n"), "1:4 the quote that begins here is not closed");
  EXPECT_EQ(ProblemOf("a: 'it''s\n"), "1:4 the quote that begins here is not closed");
  EXPECT_EQ(ProblemOf("a: 'it''s'\nb: \"\\\"\"\n"), "none");
  EXPECT_EQ(ProblemOf("a: !foo x"), "1:4 the tag !foo is not allowed");
  EXPECT_EQ(ProblemOf("a: 1\n---\nb: 2\n"), "2:1 a second document begins here");
  EXPECT_EQ(ProblemOf("a: \xff\n"), "1:4 invalid UTF-8: byte 0xFF");
  EXPECT_EQ(ProblemOf("a: \xed\xa0\x80\n"), "1:4 invalid UTF-8: byte 0xED");
  EXPECT_EQ(ProblemOf(std::string("a: b\0c", 6)), "1:5 character U+0000 is not allowed in YAML");
  EXPECT_THAT(ProblemOf("&a [*a]"), HasSubstr("alias inside its own anchor"));
  EXPECT_THAT(ProblemOf("? [a, b]\n: 1\n"), HasSubstr("a mapping key must be a single value"));
  EXPECT_THAT(ProblemOf("a: {b: 1"), HasSubstr("end of map flow not found"));
  EXPECT_THAT(ProblemOf("<<: 3\n"), HasSubstr("<< merges a mapping"));
}

TEST(Yaml, NestingIsLimited) {
  EXPECT_EQ(ProblemOf(std::string(100, '[') + std::string(100, ']')), "none");
  EXPECT_THAT(ProblemOf(std::string(101, '[') + std::string(101, ']')), HasSubstr("nested deeper than 100"));
  EXPECT_NE(ProblemOf(std::string(1'000'000, '[')), "none");
  EXPECT_NE(ProblemOf(std::string(1'000'000, '{')), "none");
}

TEST(Yaml, AliasesDoNotExplode) {
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) laughs += "," + before;
    laughs += "]\n";
  }
  EXPECT_THAT(ProblemOf(laughs), HasSubstr("aliases expand to more than 1000000 values"));
  std::string merges = "m0: &m0 {a: 1, b: 2}\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*m" + std::to_string(i - 1);
    merges += "m" + std::to_string(i) + ": &m" + std::to_string(i) + " {<<: [" + before + ", " + before + "]}\n";
  }
  EXPECT_EQ(ProblemOf(merges), "none");
}

TEST(Yaml, UnquotedPatternsAreAllNamed) {
  const YamlDocument document = ParseYaml("include:\n  - *.mlp.*\n  - *\n  - \"ok\"\nexclude: [*gate, a]\n");
  ASSERT_EQ(document.problems.size(), 3u);
  EXPECT_EQ(document.problems[0].pos, (SourcePos{2, 5}));
  EXPECT_THAT(document.problems[0].tip, HasSubstr("needs quotes: \"*.mlp.*\""));
  EXPECT_EQ(document.problems[1].pos, (SourcePos{3, 5}));
  EXPECT_EQ(document.problems[2].pos, (SourcePos{5, 11}));
  EXPECT_THAT(document.problems[2].tip, HasSubstr("\"*gate\""));
}

TEST(Yaml, SizeIsLimited) {
  const YamlDocument document = ParseYaml("abc", {.bytes = 2});
  ASSERT_EQ(document.problems.size(), 1u);
  const YamlDocument many = ParseYaml("[1,2,3,4,5]", {.nodes = 4});
  ASSERT_EQ(many.problems.size(), 1u);
}

TEST(Yaml, FlowTextReadsBack) {
  const std::string text = "{a: [1, x y, \"2\", null], \"b: c\": {d: 1e-5}, e: \"\"}";
  const YamlNodePtr root = Read(text);
  EXPECT_EQ(YamlFlowText(*root), text);
  EXPECT_EQ(YamlQuoteIfNeeded("*.mlp.*"), "\"*.mlp.*\"");
  EXPECT_EQ(YamlQuoteIfNeeded("model.layers.0"), "model.layers.0");
  EXPECT_EQ(YamlQuoteIfNeeded("yes"), "\"yes\"");
}

}  // namespace
}  // namespace modelslim
