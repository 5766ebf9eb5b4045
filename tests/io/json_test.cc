#include "io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/expect_error.h"
#include "io/json_ref.h"
#include "io/json_writer.h"
#include "io/quote.h"

namespace modelslim {
namespace {

using ::testing::HasSubstr;

// What Python's json module printed; see make_dump.py beside the file.
TEST(Json, DumpsAsPythonDoes) {
  std::ifstream file(MODELSLIM_SOURCE_DIR "/tests/golden/json/dump.txt");
  std::string arguments, document, expected;
  int cases = 0;
  while (std::getline(file, arguments) && std::getline(file, document) && std::getline(file, expected)) {
    const Json options = ParseJson(arguments, "arguments");
    const std::string text = *ParseJson(document, "document").string();
    const Json value = ParseJson(text, "text");
    const int indent = static_cast<int>(*options.Find("indent")->integer());
    EXPECT_EQ(value.Dump(indent, *options.Find("ensure_ascii")->boolean()), *ParseJson(expected, "expected").string())
        << arguments << " of " << text.substr(0, 200);
    ++cases;
  }
  EXPECT_EQ(cases, 252);
}

struct BadText {
  const char* text;
  const char* message;
};

TEST(Json, RefusesWhatJsonForbids) {
  const std::string deep = std::string(1001, '[') + std::string(1001, ']');
  const BadText table[] = {
      {"", "line 1, column 1: expected a value, found an empty document"},
      {"  \n", "line 2, column 1: expected a value, found an empty document"},
      {"{", "column 2: expected a key in quotes, found the end"},
      {"[", "column 2: expected a value, found the end"},
      {"}", "column 1: expected a value, found '}'"},
      {"]", "column 1: expected a value, found ']'"},
      {"[1,]", "column 4: expected a value, found ']'"},
      {"[,1]", "column 2: expected a value, found ','"},
      {"[1,,2]", "column 4: expected a value, found ','"},
      {"[1 2]", "column 4: expected ',' or ']', found '2'"},
      {"[1}", "column 3: expected ',' or ']', found '}'"},
      {"[1", "column 3: expected ',' or ']', found the end"},
      {"{\"a\":1]", "column 7: expected ',' or '}', found ']'"},
      {"{\"a\":1,}", "column 8: expected a key in quotes, found '}'"},
      {"{,}", "column 2: expected a key in quotes, found ','"},
      {"{\"a\"}", "column 5: expected ':' after the key, found '}'"},
      {"{\"a\" 1}", "column 6: expected ':' after the key, found '1'"},
      {"{\"a\":}", "column 6: expected a value, found '}'"},
      {"{\"a\":", "column 6: expected a value, found the end"},
      {"{\"a\":1 \"b\":2}", "column 8: expected ',' or '}'"},
      {"{1:2}", "column 2: expected a key in quotes, found '1'"},
      {"{'a':1}", "column 2: expected a key in quotes"},
      {"{a:1}", "column 2: expected a key in quotes, found 'a'"},
      {"1 2", "column 3: expected the end of the document, found '2'"},
      {"1,2", "column 2: expected the end of the document, found ','"},
      {"{} {}", "column 4: expected the end of the document, found '{'"},
      {"{}]", "column 3: expected the end of the document, found ']'"},
      {"[]x", "column 3: expected the end of the document, found 'x'"},
      {"tru", "column 1: expected a value, found 'tru'"},
      {"truey", "found 'truey'"},
      {"nul", "found 'nul'"},
      {"None", "found 'None'"},
      {"01", "found '01'"},
      {"-", "found '-'"},
      {"+1", "found '+1'"},
      {".5", "found '.5'"},
      {"1.", "found '1.'"},
      {"1e", "found '1e'"},
      {"1e+", "found '1e+'"},
      {"-01", "found '-01'"},
      {"0x10", "found '0x10'"},
      {"1_000", "found '1_000'"},
      {"inf", "found 'inf'"},
      {"nan", "found 'nan'"},
      {"[\"abc", "column 2: expected the closing quote of the string that starts here"},
      {"\"abc\\\"", "column 1: expected the closing quote"},
      {"\"a\nb\"", "column 3: expected a string, found a control character"},
      {"\"\\x41\"", "column 2: expected an escape sequence of JSON"},
      {"\"\\", "column 2: expected an escape sequence of JSON"},
      {"\"\\u12\"", "column 2: expected four hexadecimal digits"},
      {"\"\\u12g4\"", "column 2: expected four hexadecimal digits"},
      {"\"\\ud800\\u12g4\"", "column 8: expected four hexadecimal digits"},
      {"{\"\\q\":1}", "column 3: expected an escape sequence"},
      {"\"\xff\"", "column 2: expected JSON, found bytes that are not UTF-8"},
      {"[\n\"ab\xed\xa0\x80\"]", "line 2, column 4: expected JSON, found bytes that are not UTF-8"},
      {"// comment\n1", "column 1: expected a value, found '//'"},
      {"[1] // comment", "column 5: expected the end of the document, found '//'"},
      {"\xef\xbb\xbf", "column 1: expected a value, found an empty document"},
      {"\xef\xbb\xbf{]", "column 2: expected a key in quotes"},
      {"\xef\xbb\xbf\xef\xbb\xbf{}", "column 1: expected a value"},
      {"\xff\xfe{\0}\0", "column 1: expected JSON, found bytes that are not UTF-8"},
      {deep.c_str(), "column 1001: expected at most 1000 nested levels"},
  };
  for (const BadText& row : table) {
    ExpectError([&] { ParseJson(row.text, "a.json"); }, ErrorCode::kInvalidModel, {"a.json: line ", row.message});
  }
  ExpectError([] { ParseJson(std::string_view("[1\0]", 4), "a.json"); }, ErrorCode::kInvalidModel, {"found '\\x00'"});
  ExpectError([] { ParseJson(std::string_view("\"\0\"", 3), "a.json"); }, ErrorCode::kInvalidModel,
              {"control character"});
  ExpectError([] { ParseJson(std::string_view("\"\\\0\"", 4), "a.json"); }, ErrorCode::kInvalidModel,
              {"escape sequence"});
}

TEST(Json, ErrorsSayLineAndColumn) {
  ExpectError([] { ParseJson("{\n  \"a\": 1,\n  \"b\": tru\n}", "c.json"); }, ErrorCode::kInvalidModel,
              {"c.json: line 3, column 8: expected a value, found 'tru'"});
  JsonOptions dataset;
  dataset.code = ErrorCode::kInvalidDataset;
  ExpectError([&] { ParseJson("{", "x.jsonl:7", dataset); }, ErrorCode::kInvalidDataset, {"x.jsonl:7: line 1"});
}

TEST(Json, ReadsEveryKind) {
  const Json value =
      ParseJson(R"( {"n":null,"t":true,"i":-7,"u":18446744073709551615,"d":2.5e3,"s":"\u00e9\ud83d\ude42",
      "big":1000000000000000019884624838656,"zero":-0,"huge":1e999,"tiny":-1e-999,"inf":[NaN,Infinity,-Infinity],"o":{"k":[1]}} )",
                "all");
  EXPECT_TRUE(value.Find("n")->is_null());
  EXPECT_EQ(value.Find("t")->boolean(), true);
  EXPECT_EQ(value.Find("i")->integer(), -7);
  EXPECT_EQ(value.Find("u")->integer(), std::nullopt);
  EXPECT_EQ(value.Find("u")->unsigned_integer(), ~uint64_t{0});
  EXPECT_EQ(value.Find("d")->number(), 2500.0);
  EXPECT_EQ(value.Find("d")->integer(), std::nullopt);
  EXPECT_EQ(*value.Find("s")->string(), "é🙂");
  EXPECT_EQ(*value.Find("big")->big_integer(), "1000000000000000019884624838656");
  EXPECT_EQ(value.Find("big")->number(), 1e30);
  EXPECT_EQ(value.Find("zero")->integer(), 0);
  EXPECT_TRUE(std::isinf(*value.Find("huge")->number()));
  EXPECT_TRUE(std::signbit(*value.Find("tiny")->number()) && *value.Find("tiny")->number() == 0);
  EXPECT_TRUE(std::isnan(*(*value.Find("inf")->array())[0].number()));
  EXPECT_EQ(value.Find("o")->Find("k")->array()->size(), 1u);
  EXPECT_EQ(value.Find("absent"), nullptr);
  EXPECT_EQ(ParseJson(" 5 ", "scalar"), Json(5));
  EXPECT_EQ(ParseJson("\"x\"", "scalar"), Json("x"));
}

// What Python's json.loads takes and a stricter reader refuses. The second text is json.dumps of the value.
TEST(Json, TakesWhatPythonTakes) {
  const std::string digits(5000, '7');
  const std::pair<std::string, std::string> table[] = {
      {"1000000000000000019884624838656", "1000000000000000019884624838656"},
      {"-18446744073709551616", "-18446744073709551616"},
      {digits, digits},
      {"NaN", "NaN"},
      {"[Infinity, -Infinity]", "[Infinity, -Infinity]"},
      {"1e999", "Infinity"},
      {"-1e999", "-Infinity"},
      {"1e-999", "0.0"},
      {R"("\ud800")", R"("\ud800")"},
      {R"("a\udc00b")", R"("a\udc00b")"},
      {R"("\ud83d\u0041")", R"("\ud83dA")"},
      {R"("\ud83d\ud83d\ude00")", R"("\ud83d\ud83d\ude00")"},
      {R"("\ude00\ud83d")", R"("\ude00\ud83d")"},
      {R"({"\ud800": 1})", R"({"\ud800": 1})"},
      {"\xef\xbb\xbf{\"a\": 1}", "{\"a\": 1}"},
      {std::string(1000, '[') + std::string(1000, ']'), std::string(1000, '[') + std::string(1000, ']')},
  };
  for (const auto& [text, dump] : table) {
    const Json value = ParseJson(text, "python");
    EXPECT_EQ(value.Dump(), dump);
    EXPECT_EQ(ParseJson(value.Dump(Json::kOneLine, false), "again").Dump(), dump);  // by text: NaN is equal to nothing
  }
}

TEST(Json, HalvesOfPairsAreNoText) {
  const Json value = ParseJson(R"({"lone": "a\ud800", "whole": "\ud83d\ude00", "n": 18446744073709551616})", "text");
  const JsonRef root(value, "d.jsonl:3", ErrorCode::kInvalidDataset);
  EXPECT_FALSE(IsUtf8(root["lone"].AsString()));
  EXPECT_EQ(root["whole"].AsText(), "\U0001F600");
  ExpectError([&] { root["lone"].AsText(); }, ErrorCode::kInvalidDataset, {"d.jsonl:3: lone: expected text"});
  ExpectError([&] { root["n"].AsInt(); }, ErrorCode::kInvalidDataset, {"an integer of at most 63 bits"});
}

TEST(Json, DuplicateKeysAsInPythonOrRefused) {
  const Json value = ParseJson(R"({"a":1,"b":2,"a":3})", "twice");
  EXPECT_EQ(value.Dump(Json::kCompact), R"({"a":3,"b":2})");
  JsonOptions strict;
  strict.duplicates = JsonDuplicates::kError;
  ExpectError([&] { ParseJson(R"({"x":{"a":1,"b":2,"a":3}})", "twice.json", strict); }, ErrorCode::kInvalidModel,
              {"twice.json", "'a' twice in one object"});
  EXPECT_NO_THROW(ParseJson(R"({"x":{"a":1},"y":{"a":2}})", "apart", strict));
}

TEST(Json, LargeObjectsKeepOrderAndFindEverything) {
  JsonObject object;
  for (int i = 0; i < 50000; ++i) object.Set("key" + std::to_string(i * 7919 % 50000), i);
  ASSERT_EQ(object.size(), 50000u);
  for (int i = 0; i < 50000; i += 97) {
    const Json* const found = object.Find("key" + std::to_string(i * 7919 % 50000));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->integer(), i);
  }
  EXPECT_EQ(object.members()[3].key, "key" + std::to_string(3 * 7919 % 50000));
  EXPECT_TRUE(object.Erase("key0"));
  EXPECT_FALSE(object.Erase("key0"));
  EXPECT_EQ(object.Find("key0"), nullptr);
  EXPECT_EQ(object.Find("key7919")->integer(), 1);
  object.Set("key7919", "again");
  EXPECT_EQ(object.size(), 49999u);
  EXPECT_EQ(object.members()[0].key, "key7919");
}

TEST(Json, BuildsAndPrints) {
  Json report;
  report["name"] = "x";
  report["sizes"].Append(1u);
  report["sizes"].Append(uint64_t{1} << 63);
  report["nested"]["deep"] = 0.5;
  EXPECT_EQ(report.Dump(), R"({"name": "x", "sizes": [1, 9223372036854775808], "nested": {"deep": 0.5}})");
  EXPECT_EQ(ParseJson(report.Dump(4), "again"), report);
  // A file name need not be UTF-8: as Python prints os.fsdecode(b"a\xff").
  EXPECT_EQ(Json("a\xff").Dump(), R"("a\udcff")");
  EXPECT_EQ(Json("a\xff").Dump(Json::kOneLine, false), "\"a\xef\xbf\xbd\"");
}

TEST(JsonRef, NamesFileAndPath) {
  const Json config = ParseJson(
      R"({"hidden_size":"big","rope":{"factor":"8","list":[1,"x",2.5]},"a.b":{"c":[true]},"null":null,"f":64.0,"n":3})",
      "config");
  const JsonRef root(config, "config.json");
  const auto bad = [&](auto read, std::initializer_list<std::string> parts) {
    ExpectError(read, ErrorCode::kInvalidModel, parts);
  };
  bad([&] { root["hidden_size"].AsInt(); }, {"config.json: hidden_size: expected an integer, found a string ('big')"});
  bad([&] { root["rope"]["factor"].AsDouble(); },
      {"config.json: rope.factor: expected a number, found a string ('8')"});
  bad([&] { root["rope"]["list"].AsInts(); }, {"config.json: rope.list[1]: expected an integer, found a string ('x')"});
  bad([&] { root["a.b"]["c"].at(0).AsString(); },
      {"config.json: ['a.b'].c[0]: expected a string, found a boolean (true)"});
  bad([&] { root["absent"].AsInt(); },
      {"config.json: absent: expected an integer, found nothing (the key is missing)"});
  bad([&] { root["absent"]["inner"].AsBool(); }, {"config.json: absent.inner: expected true or false, found nothing"});
  bad([&] { root["null"].AsInt(); }, {"config.json: null: expected an integer, found null"});
  bad([&] { root["n"]["x"]; }, {"config.json: n: expected an object, found an integer (3)"});
  bad([&] { root["f"].AsInt(); },
      {"config.json: f: expected an integer, found a number with a fraction or exponent (64.0)"});
  bad([&] { root["n"].AsInt(4, 9); }, {"config.json: n: expected an integer from 4 to 9, found an integer (3)"});
  bad([&] { root["rope"]["list"].at(3); }, {"rope.list: expected an array of at least 4 elements"});
  EXPECT_EQ(root["n"].AsInt(), 3);
  EXPECT_EQ(root["n"].AsDouble(), 3.0);
  EXPECT_EQ(root["absent"].IntOr(5), 5);
  EXPECT_EQ(root["null"].StringOr("default"), "default");
  bad([&] { root["hidden_size"].IntOr(5); }, {"hidden_size: expected an integer"});
  EXPECT_FALSE(root["absent"]["deeper"]["still"]);
  const JsonRef dataset(config, "data.jsonl", ErrorCode::kInvalidDataset);
  ExpectError([&] { dataset["f"].AsString(); }, ErrorCode::kInvalidDataset, {"data.jsonl: f"});
}

TEST(JsonWriter, StreamsWhatDumpPrints) {
  std::string text;
  JsonWriter writer(&text, 4);
  writer.BeginObject();
  for (int i = 0; i < 3; ++i) writer.Member("model.layers." + std::to_string(i) + ".weight", "W8A8");
  writer.Key("metadata");
  writer.BeginObject();
  writer.EndObject();
  writer.Key("group_size");
  writer.Int(0);
  writer.EndObject();
  EXPECT_EQ(text,
            "{\n    \"model.layers.0.weight\": \"W8A8\",\n    \"model.layers.1.weight\": \"W8A8\",\n"
            "    \"model.layers.2.weight\": \"W8A8\",\n    \"metadata\": {},\n    \"group_size\": 0\n}");
  EXPECT_EQ(ParseJson(text, "text").Dump(4), text);
}

TEST(JsonWriter, WrongOrderIsOurBug) {
  std::string text;
  JsonWriter writer(&text);
  writer.BeginObject();
  ExpectError([&] { writer.Int(1); }, ErrorCode::kUnexpected, {"after_key_"});
  ExpectError([&] { writer.EndArray(); }, ErrorCode::kUnexpected, {"close"});
}

}  // namespace
}  // namespace modelslim
