#include "data/dataset.h"

#include <algorithm>
#include <cstdlib>

#include "data/test_support.h"

namespace modelslim {
namespace {

std::vector<std::string> Texts(const fs::path& path) {
  std::vector<std::string> texts;
  for (const TextSample& sample : LoadTextDataset(path).samples) texts.push_back(sample.text);
  return texts;
}

using Strings = std::vector<std::string>;

TEST(Dataset, LinesWithTheKeyAndWithout) {
  const TemporaryDirectory directory;
  const fs::path path = directory.Write("a.jsonl",
                                        "{\"inputs_pretokenized\": \"x\\n\", \"id\": 1}\n"
                                        "{\"prompt\": \"y\"}\r\n"
                                        "{\"inputs_pretokenized\": \"1\", \"inputs_pretokenized\": \"2\"}\n"
                                        "{\"q\": 3}");
  // Without the key the line itself is the text, with its newline; the last line here has none.
  EXPECT_EQ(Texts(path), (Strings{"x\n", "{\"prompt\": \"y\"}\n", "2", "{\"q\": 3}"}));
  EXPECT_EQ(LoadTextDataset(path).samples[1].where, path.string() + ":2");
  EXPECT_EQ(Texts(directory.Write("b.jsonl", "{}\r{\"a\": 1}\r")), (Strings{"{}\n", "{\"a\": 1}\n"}));
  EXPECT_TRUE(Texts(directory.Write("empty.jsonl", "")).empty());
  EXPECT_EQ(Texts(directory.Write("odd_jsonl", "{}\n")), (Strings{"{}\n"}));  // the name only has to end so
}

TEST(Dataset, Lists) {
  const TemporaryDirectory directory;
  EXPECT_EQ(Texts(directory.Write("a.json", "[\"x\", \"\\u4e2d\"]\n")), (Strings{"x", "\u4e2d"}));
  EXPECT_TRUE(Texts(directory.Write("b.json", "[]")).empty());
  for (const char* bad : {"{}", "\"x\"", "[\"x\"", "", "[\"x\", 3]", "[[\"x\"]]", "[\"x\"] []"}) {
    const Error error = ErrorOf([&] { LoadTextDataset(directory.Write("bad.json", bad)); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset) << bad;
    EXPECT_TRUE(Holds(error, "bad.json")) << error.what();
  }
  EXPECT_TRUE(Holds(ErrorOf([&] { LoadTextDataset(directory.Write("c.json", "[\"x\", 3]")); }), "element 1"));
}

TEST(Dataset, BadLinesAreNamed) {
  const TemporaryDirectory directory;
  for (const char* bad : {"", "   ", "[1]", "\"x\"", "3", "{\"a\": ", "{} {}", "{\"inputs_pretokenized\": 5}",
                          "{\"inputs_pretokenized\": null}", "{\"a\": \"\xff\"}", "not json"}) {
    const Error error =
        ErrorOf([&] { LoadTextDataset(directory.Write("bad.jsonl", "{}\n" + std::string(bad) + "\n{}\n")); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset) << bad;
    EXPECT_TRUE(Holds(error, "bad.jsonl:2")) << error.what();
  }
}

TEST(Dataset, WhatIsNotTheTextIsNeverAReasonToRefuse) {
  const TemporaryDirectory directory;
  for (const char* value : {"1000000000000000019884624838656", "-18446744073709551616", "NaN", "-Infinity", "1e999",
                            R"("\ud800")", R"({"deep": [null, {}]})"}) {
    const std::string line = R"({"id": )" + std::string(value) + R"(, "inputs_pretokenized": "x"})";
    EXPECT_EQ(Texts(directory.Write("a.jsonl", line + "\n")), (Strings{"x"})) << value;
  }
  EXPECT_EQ(Texts(directory.Write("mark.jsonl", "\xEF\xBB\xBF{\"a\": 1}\n")), (Strings{"{\"a\": 1}\n"}));
  EXPECT_EQ(Texts(directory.Write("mark.json", "\xEF\xBB\xBF[\"x\"]")), (Strings{"x"}));
  const Error half =
      ErrorOf([&] { LoadTextDataset(directory.Write("half.jsonl", "{}\n{\"inputs_pretokenized\": \"a\\ud800\"}\n")); });
  EXPECT_EQ(half.code(), ErrorCode::kInvalidDataset);
  EXPECT_TRUE(Holds(half, "half.jsonl:2: inputs_pretokenized")) << half.what();
}

TEST(Dataset, KeysTellWhereTheTextIs) {
  const TemporaryDirectory directory;
  const fs::path lines = directory.Write("a.jsonl",
                                         "{\"text\": \"x\", \"inputs_pretokenized\": \"other\"}\n"
                                         "{\"text\": [\"y\", \"z\"]}\n");
  const TextDataset found = LoadTextDataset(lines, {.keys = {"text"}, .before_the_line = ""});
  ASSERT_EQ(found.samples.size(), 2U);
  EXPECT_EQ(found.samples[0].text, "x");
  EXPECT_EQ(found.samples[1].text, "y\nz");
  EXPECT_TRUE(found.warnings.empty());
  const Error absent = ErrorOf([&] { LoadTextDataset(lines, {.keys = {"prompt"}, .before_the_line = ""}); });
  EXPECT_EQ(absent.code(), ErrorCode::kInvalidDataset);
  EXPECT_TRUE(Holds(absent, "a.jsonl:1: expected the key 'prompt'")) << absent.what();
  const fs::path list = directory.Write("b.json", "[{\"prompt\": \"x\"}, \"y\"]");
  EXPECT_EQ(LoadTextDataset(list, {.keys = {"prompt"}, .before_the_line = ""}).samples[0].text, "x");
  const Error objects = ErrorOf([&] { LoadTextDataset(list); });
  EXPECT_TRUE(Holds(objects, "element 0: expected a string, found an object")) << objects.what();
  EXPECT_NE(objects.tip().find("--text_key prompt"), std::string::npos) << objects.tip();
}

TEST(Dataset, LinesThatAreReadAsTheyStandAreToldOf) {
  const TemporaryDirectory directory;
  const auto warnings = [&](const std::string& content) {
    return LoadTextDataset(directory.Write("a.jsonl", content)).warnings;
  };
  EXPECT_TRUE(warnings("{\"inputs_pretokenized\": \"x\"}\n").empty());
  const auto told = warnings("{\"inputs_pretokenized\": \"x\"}\n{\"prompt\": \"y\", \"n\": 1}\n{\"q\": 1}\n");
  ASSERT_EQ(told.size(), 1U);
  for (const char* part : {"a.jsonl:2: expected the key 'inputs_pretokenized', found 'prompt', 'n'", "2 of 3 lines",
                           "--text_key prompt"}) {
    EXPECT_NE(told[0].find(part), std::string::npos) << told[0];
  }
}

TEST(Dataset, FilesThatAreNone) {
  const TemporaryDirectory directory;
  const fs::path file = directory.Write("a.jsonl", "{}\n");
  const auto code = [](const fs::path& path) { return ErrorOf([&] { LoadTextDataset(path); }).code(); };
  EXPECT_EQ(code(directory.path() / "none.jsonl"), ErrorCode::kSecurity);
  EXPECT_EQ(code(directory.Write("a.txt", "{}\n")), ErrorCode::kSecurity);
  EXPECT_EQ(code(directory.Write("a.JSONL", "{}\n")), ErrorCode::kSecurity);
  fs::create_directory(directory.path() / "d.jsonl");
  EXPECT_EQ(code(directory.path() / "d.jsonl"), ErrorCode::kSecurity);
  fs::create_symlink(file, directory.path() / "link.jsonl");
  EXPECT_EQ(code(directory.path() / "link.jsonl"), ErrorCode::kSecurity);
}

TEST(Dataset, NamesAreLookedUpInOrder) {
  const TemporaryDirectory first, second, here;
  const fs::path in_first = first.Write("one.jsonl", "{}\n");
  second.Write("one.jsonl", "{}\n");
  const fs::path in_second = second.Write("two.jsonl", "{}\n");
  const std::vector<fs::path> places = {first.path(), second.path()};
  EXPECT_EQ(ResolveDataset("one.jsonl", places), in_first);
  EXPECT_EQ(ResolveDataset("two.jsonl", places), in_second);
  EXPECT_EQ(ResolveDataset(in_second.string(), {}), in_second);
  const fs::path before = fs::current_path();
  here.Write("one.jsonl", "{}\n");
  fs::current_path(here.path());
  EXPECT_EQ(ResolveDataset("one.jsonl", places), "one.jsonl");  // the working directory hides what ships
  fs::current_path(before);
  const Error missing = ErrorOf([&] { ResolveDataset("three.jsonl", places); });
  EXPECT_EQ(missing.code(), ErrorCode::kSecurity);
  EXPECT_TRUE(Holds(missing, first.path().string()) && Holds(missing, second.path().string())) << missing.what();
  EXPECT_EQ(ErrorOf([&] { ResolveDataset("/no/such/file.json", places); }).code(), ErrorCode::kSecurity);
  EXPECT_EQ(ErrorOf([&] { ResolveDataset("", places); }).code(), ErrorCode::kSecurity);
  // A relative name never climbs out of the folder of sets.
  const fs::path outside = first.path() / ".." / in_second.parent_path().filename() / "two.jsonl";
  ASSERT_TRUE(fs::exists(outside));
  EXPECT_EQ(ErrorOf([&] {
              ResolveDataset("../" + in_second.parent_path().filename().string() + "/two.jsonl", {first.path()});
            }).code(),
            ErrorCode::kSecurity);
}

TEST(Dataset, TheShippedSetIsFoundFromTheBuildTree) {
  const auto places = LabCalibDirectories();
  ASSERT_FALSE(places.empty());
  EXPECT_TRUE(fs::exists(ResolveDataset("mix_calib.jsonl", places)));
}

TEST(Dataset, HomeComesFirst) {
  const TemporaryDirectory home;
  home.Write("lab_calib/mix_calib.jsonl", "{}\n");
  setenv("MODELSLIM_HOME", home.path().c_str(), 1);
  const auto places = LabCalibDirectories();
  unsetenv("MODELSLIM_HOME");
  ASSERT_FALSE(places.empty());
  EXPECT_EQ(places[0], home.path() / "lab_calib");
}

}  // namespace
}  // namespace modelslim
