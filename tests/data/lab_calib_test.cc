// What lab_calib promises of its samples; their lengths in tokens are checked in tests/text, where a vocabulary is.
#include <set>

#include "data/test_support.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

const fs::path kSet = fs::path(MODELSLIM_SOURCE_DIR) / "lab_calib" / "mix_calib.jsonl";

TEST(LabCalib, FortyEightDifferentSamples) {
  const auto samples = LoadTextDataset(kSet);
  ASSERT_EQ(samples.size(), 48U);
  std::set<std::string> openings;
  for (const TextSample& sample : samples) openings.insert(sample.text.substr(0, 40));
  EXPECT_EQ(openings.size(), 48U);
}

TEST(LabCalib, EnglishAndChinese) {
  size_t letters = 0, ideographs = 0;
  for (const TextSample& sample : LoadTextDataset(kSet)) {
    EXPECT_FALSE(sample.text.starts_with("{\"id\"")) << sample.where << " has no inputs_pretokenized";
    for (size_t i = 0; i < sample.text.size();) {
      const Utf8Char c = DecodeUtf8(sample.text.data() + i);
      letters += (c.code | 0x20) >= 'a' && (c.code | 0x20) <= 'z';
      ideographs += c.code >= 0x4E00 && c.code <= 0x9FFF;
      i += c.size;
    }
  }
  EXPECT_GT(letters, 20000U);
  EXPECT_GT(ideographs, 3000U);
}

}  // namespace
}  // namespace modelslim
