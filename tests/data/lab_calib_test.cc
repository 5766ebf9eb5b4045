// What lab_calib promises of its samples; their lengths in tokens are checked in tests/text, where a vocabulary is.
#include <algorithm>
#include <set>

#include "data/test_support.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

constexpr std::string_view kUserTurn = "<|im_start|>user\n";

struct SetCase {
  std::string file;
  size_t samples, letters, ideographs;  // exactly so many samples; more letters and ideographs than these
};

void PrintTo(const SetCase& set, std::ostream* out) { *out << set.file; }

std::string NameOf(const testing::TestParamInfo<SetCase>& info) {
  std::string name = info.param.file;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

std::vector<TextSample> Load(const std::string& file) {
  return LoadTextDataset(fs::path(MODELSLIM_SOURCE_DIR) / "lab_calib" / file).samples;
}

// The first bytes that differ from sample to sample: those of a conversation come after the tag of its first turn.
std::string Opening(const TextSample& sample) {
  return sample.text.substr(sample.text.starts_with(kUserTurn) ? kUserTurn.size() : 0, 40);
}

class LabCalib : public testing::TestWithParam<SetCase> {};

TEST_P(LabCalib, DifferentSamples) {
  const auto samples = Load(GetParam().file);
  ASSERT_EQ(samples.size(), GetParam().samples);
  std::set<std::string> openings;
  for (const TextSample& sample : samples) openings.insert(Opening(sample));
  EXPECT_EQ(openings.size(), samples.size());
}

TEST_P(LabCalib, EnglishAndChinese) {
  size_t letters = 0, ideographs = 0;
  for (const TextSample& sample : Load(GetParam().file)) {
    EXPECT_FALSE(sample.text.starts_with("{\"id\"")) << sample.where << " has no inputs_pretokenized";
    for (size_t i = 0; i < sample.text.size();) {
      const Utf8Char c = DecodeUtf8(sample.text.data() + i);
      letters += (c.code | 0x20) >= 'a' && (c.code | 0x20) <= 'z';
      ideographs += c.code >= 0x4E00 && c.code <= 0x9FFF;
      i += c.size;
    }
  }
  EXPECT_GT(letters, GetParam().letters);
  EXPECT_GT(ideographs, GetParam().ideographs);
}
INSTANTIATE_TEST_SUITE_P(
    Sets, LabCalib,
    testing::Values(SetCase{"mix_calib.jsonl", 48, 20000, 3000}, SetCase{"qwen3_cot.json", 16, 10000, 1000},
                    SetCase{"qwen3_cot_w4a4.json", 42, 25000, 4000}, SetCase{"long_calib.jsonl", 24, 50000, 9000},
                    SetCase{"cn_en.jsonl", 94, 4500, 1500}, SetCase{"calib_prompt.jsonl", 80, 2500, 700},
                    SetCase{"qwen2.5_w8a8_pdmix_anti_prompt.jsonl", 48, 900, 250},
                    SetCase{"qwen2.5_w8a8_pdmix_calib_prompt.jsonl", 80, 2500, 800}),
    NameOf);

TEST(LabCalibConversations, AQuestionThoughtsAndAnAnswer) {
  std::set<std::string> openings;
  for (const std::string file : {"qwen3_cot.json", "qwen3_cot_w4a4.json"}) {
    for (const TextSample& sample : Load(file)) {
      EXPECT_TRUE(sample.text.starts_with(kUserTurn)) << sample.where;
      EXPECT_NE(sample.text.find("<|im_end|>\n<|im_start|>assistant\n<think>\n"), std::string::npos) << sample.where;
      EXPECT_NE(sample.text.find("\n</think>\n\n"), std::string::npos) << sample.where;
      EXPECT_TRUE(sample.text.ends_with("<|im_end|>")) << sample.where;
      EXPECT_TRUE(openings.insert(Opening(sample)).second) << sample.where << " opens as another one does";
    }
  }
}

}  // namespace
}  // namespace modelslim
