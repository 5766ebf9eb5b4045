#include "text/normalizer.h"

#include <utf8proc.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "text/test_support.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

std::string Apply(const NormalizerPtr& normalizer, std::string text) {
  normalizer->Apply(text);
  return text;
}

TEST(Normalizer, Forms) {
  const std::string text = "e\u0301 \u00e9 \ufb01 \u1100\u1161\u11a8";
  EXPECT_EQ(Apply(MakeUnicodeNormalizer(UnicodeForm::kNfc), text), "\u00e9 \u00e9 \ufb01 \uac01");
  EXPECT_EQ(Apply(MakeUnicodeNormalizer(UnicodeForm::kNfd), text), "e\u0301 e\u0301 \ufb01 \u1100\u1161\u11a8");
  EXPECT_EQ(Apply(MakeUnicodeNormalizer(UnicodeForm::kNfkc), text), "\u00e9 \u00e9 fi \uac01");
  EXPECT_EQ(Apply(MakeUnicodeNormalizer(UnicodeForm::kNfkd), text), "e\u0301 e\u0301 fi \u1100\u1161\u11a8");
  // Singletons and composition exclusions, marks in the wrong order.
  EXPECT_EQ(Apply(MakeUnicodeNormalizer(UnicodeForm::kNfc), "\u212b\u0958a\u0301\u0323"),
            "\u00c5\u0915\u093c\u1ea1\u0301");
}

// The whole text at once by the library, against our runs of what is not inert.
TEST(Normalizer, RunsGiveWhatTheWholeTextGives) {
  std::mt19937 random(7);
  const char32_t pool[] = {'a',    'e',    ' ',    0x301,  0x323,  0x327,  0xE9,   0x1100, 0x1161,  0x11A8, 0xAC00,
                           0x4E2D, 0x30AB, 0x3099, 0xFB01, 0xFF21, 0x3001, 0x2019, 0x958,  0x1D15E, 0x302A};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) AppendUtf8(text, pool[random() % std::size(pool)]);
    for (const UnicodeForm form : {UnicodeForm::kNfc, UnicodeForm::kNfd, UnicodeForm::kNfkc, UnicodeForm::kNfkd}) {
      auto* convert = form == UnicodeForm::kNfc    ? utf8proc_NFC
                      : form == UnicodeForm::kNfd  ? utf8proc_NFD
                      : form == UnicodeForm::kNfkc ? utf8proc_NFKC
                                                   : utf8proc_NFKD;
      utf8proc_uint8_t* whole = convert(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
      EXPECT_EQ(Apply(MakeUnicodeNormalizer(form), text), reinterpret_cast<const char*>(whole));
      std::free(whole);
    }
  }
}

TEST(Normalizer, MarksInTheWorstOrderAreSortedQuickly) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i) text += "\u0301\u0327";  // class 230 before 202: all must change places
  const auto start = std::chrono::steady_clock::now();
  const std::string sorted = Apply(MakeUnicodeNormalizer(UnicodeForm::kNfd), text);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(sorted.substr(0, 5), "a\u0327\u0327");
  EXPECT_EQ(sorted.size(), text.size());
}

TEST(Normalizer, Others) {
  EXPECT_EQ(Apply(MakeLowercase(), "ABC\u0130\u00c4\u03a3"), "abci\u0307\u00e4\u03c3");
  EXPECT_EQ(Apply(MakePrepend("_"), "ab"), "_ab");
  EXPECT_EQ(Apply(MakePrepend("_"), ""), "");
  EXPECT_EQ(Apply(MakeReplace(" ", "\u2581"), " a b "), "\u2581a\u2581b\u2581");
  EXPECT_EQ(Apply(MakeReplace("aa", "b"), "aaaaa"), "bba");
  EXPECT_EQ(Apply(MakeReplace("", "b"), "xy"), "xy");
  EXPECT_EQ(Apply(MakeRegexReplace("[0-9]+", "#", "w"), "a12b3"), "a#b#");
  EXPECT_EQ(Apply(MakeStrip(true, false), " \u3000a\n"), "a\n");
  EXPECT_EQ(Apply(MakeStrip(false, true), " a\n\u00a0"), " a");
  EXPECT_EQ(Apply(MakeStrip(true, true), " \n "), "");
  EXPECT_EQ(Apply(MakeStripAccents(), "e\u0301\u0327x\u00e9"), "ex\u00e9");
  EXPECT_EQ(Apply(MakeNormalizerSequence({}), "ab"), "ab");
}

// Each step multiplies; without a bound the last sequence would ask for 4096^4 bytes.
TEST(Normalizer, GrowthIsBounded) {
  const std::string word(4096, 'a');
  const auto sequence = [&](int steps) {
    std::vector<NormalizerPtr> made;
    for (int i = 0; i < steps; ++i) made.push_back(MakeReplace("a", word));
    return MakeNormalizerSequence(std::move(made));
  };
  EXPECT_EQ(Apply(sequence(1), "aab").size(), 2 * word.size() + 1);
  EXPECT_EQ(ErrorOf([&] { Apply(sequence(4), "a"); }).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(ErrorOf([&] { Apply(MakeReplace("a", word), std::string(1 << 20, 'a')); }).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(ErrorOf([&] { Apply(MakeRegexReplace("", word, "w"), std::string(1 << 20, 'b')); }).code(),
            ErrorCode::kUnsupported);
  std::vector<NormalizerPtr> doubling;
  for (int i = 0; i < 64; ++i) doubling.push_back(MakeByteLevelNormalizer());
  EXPECT_EQ(ErrorOf([&] { Apply(MakeNormalizerSequence(std::move(doubling)), "\n"); }).code(), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace modelslim
