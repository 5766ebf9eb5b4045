// Ids of the Rust tokenizers library, for published tokenizers and for one small tokenizer per component.
#include <algorithm>
#include <thread>

#include "text/test_support.h"

namespace modelslim {
namespace {

const fs::path kGolden = MODELSLIM_TOKENIZERS;

std::vector<Json> ReadLines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

class Published : public testing::TestWithParam<std::string> {};

TEST_P(Published, EveryLine) {
  const fs::path folder = kGolden / GetParam();
  const auto tokenizer = Tokenizer::Load(folder);
  const auto lines = ReadLines(folder / "expected.jsonl");
  ASSERT_EQ(lines.size(), 298U);
  for (const Json& line : lines) {
    const auto text = line["text"].get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, true), line["ids"].get<Ids>()) << text;
    EXPECT_EQ(tokenizer->Encode(text, false), line["ids_no_special"].get<Ids>()) << text;
  }
}
INSTANTIATE_TEST_SUITE_P(Conformance, Published, testing::Values("qwen3", "deepseek_v3"));

std::vector<std::string> SmallNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGolden / "small")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Conformance, EverySmallTokenizer) {
  const auto names = SmallNames();
  ASSERT_GE(names.size(), 70U);
  const auto texts = ReadLines(kGolden / "small" / "texts.jsonl");
  for (const std::string& name : names) {
    const auto tokenizer = Tokenizer::Load(kGolden / "small" / name);
    const auto expected = ReadLines(kGolden / "small" / name / "ids.jsonl");
    ASSERT_EQ(expected.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto text = texts[i]["text"].get<std::string>();
      ASSERT_EQ(tokenizer->Encode(text, true), expected[i]["ids"].get<Ids>()) << name << ": " << text;
    }
  }
}

TEST(Conformance, SpecialIdsOfTheFamilies) {
  const auto qwen = Tokenizer::Load(kGolden / "qwen3");
  EXPECT_EQ(qwen->Encode("<|endoftext|><|im_start|><|im_end|>", true), (Ids{151643, 151644, 151645}));
  EXPECT_EQ(qwen->vocab_size(), 151669);
  const auto deepseek = Tokenizer::Load(kGolden / "deepseek_v3");
  EXPECT_EQ(deepseek->Encode("<\uff5cbegin\u2581of\u2581sentence\uff5c>", true), (Ids{0}));
}

// The texts of a set that ships, read as src/data does, which this folder may not link: a list or an object a line.
std::vector<std::string> ReadShippedTexts(const std::string& file) {
  const fs::path path = fs::path(MODELSLIM_SOURCE_DIR) / "lab_calib" / file;
  if (path.extension() == ".json") return Json::parse(std::ifstream(path)).get<std::vector<std::string>>();
  std::vector<std::string> texts;
  for (const Json& line : ReadLines(path)) texts.push_back(line["inputs_pretokenized"].get<std::string>());
  return texts;
}

TEST(Conformance, LengthsOfTheShippedCalibrationSets) {
  struct Bounds {
    std::string file;
    size_t samples, least, most;
  };
  const auto tokenizer = Tokenizer::Load(kGolden / "qwen3");
  for (const auto& [file, samples, least, most] :
       {Bounds{"mix_calib.jsonl", 48, 100, 600}, Bounds{"qwen3_cot.json", 16, 100, 700},
        Bounds{"qwen3_cot_w4a4.json", 42, 100, 700}, Bounds{"long_calib.jsonl", 24, 600, 1700}}) {
    const auto texts = ReadShippedTexts(file);
    EXPECT_EQ(texts.size(), samples) << file;
    for (const std::string& text : texts) {
      const size_t tokens = tokenizer->Encode(text, true).size();
      EXPECT_GE(tokens, least) << file << ": " << text.substr(0, 100);
      EXPECT_LE(tokens, most) << file << ": " << text.substr(0, 100);
    }
  }
}

// All that was ever wrong on one thread only would show here under the thread sanitizer.
TEST(Conformance, SeveralThreadsAtOnce) {
  const auto tokenizer = Tokenizer::Load(kGolden / "small" / "llama3");
  const auto texts = ReadLines(kGolden / "small" / "texts.jsonl");
  std::vector<std::vector<Ids>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (const Json& line : texts) result.push_back(tokenizer->Encode(line["text"].get<std::string>(), true));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace modelslim
