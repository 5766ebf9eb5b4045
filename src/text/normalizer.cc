#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/stop.h"
#include "text/byte_level.h"
#include "text/growth.h"
#include "text/library_unicode.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

using utf8proc_int = utf8proc_int32_t;

// Characters that every form leaves alone and that combine with nothing behind them, so that a run of them needs no
// work. ASCII, CJK ideographs and common CJK punctuation: nearly all Chinese and English text.
bool IsInert(char32_t c, UnicodeForm form) {
  if (c < 0x80) return true;
  if (c >= 0x3400 && c <= 0x9FFF) return true;
  if (c >= 0x3001 && c <= 0x3029) return true;
  const bool compatibility = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  if (compatibility) return false;
  return (c >= 0xFF01 && c <= 0xFF60) || (c >= 0x2010 && c <= 0x2027);
}

// The tokenizers library normalizes by Unicode 12.0: later characters that have a decomposition stay what they are.
bool IsTooNew(char32_t c) {
  constexpr std::array<std::pair<char32_t, char32_t>, 10> kRanges = {{{0x32FF, 0x32FF},
                                                                      {0xA7F2, 0xA7F4},
                                                                      {0xAB69, 0xAB69},
                                                                      {0x10781, 0x10785},
                                                                      {0x10787, 0x107B0},
                                                                      {0x107B2, 0x107BA},
                                                                      {0x11938, 0x11938},
                                                                      {0x1E030, 0x1E06D},
                                                                      {0x1F16C, 0x1F16C},
                                                                      {0x1FBF0, 0x1FBF9}}};
  return std::any_of(kRanges.begin(), kRanges.end(), [c](const auto& r) { return c >= r.first && c <= r.second; });
}

class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}

  void Rewrite(std::string& text, size_t) const override {
    size_t done = 0;  // text[0, done) is copied to `out` already
    std::string out;
    std::vector<utf8proc_int> run;
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = DecodeUtf8(text.data() + i);
      if (IsInert(c.code, form_)) {
        i += c.size;
        continue;
      }
      // The run begins one character early: that one may take a combining mark.
      size_t begin = i;
      if (begin > done) begin -= DecodeLastUtf8(std::string_view(text).substr(0, begin)).size;
      out.append(text, done, begin - done);
      run.clear();
      for (i = begin; i < text.size();) {
        const Utf8Char next = DecodeUtf8(text.data() + i);
        if (i > begin && IsInert(next.code, form_)) break;
        Decompose(next.code, run);
        i += next.size;
      }
      Finish(run, out);
      done = i;
    }
    if (done == 0) return;
    out.append(text, done);
    text = std::move(out);
  }

 private:
  void Decompose(char32_t c, std::vector<utf8proc_int>& run) const {
    if (c < 0x80 || IsTooNew(c)) {
      run.push_back(static_cast<utf8proc_int>(c));
      return;
    }
    const bool compatibility = form_ == UnicodeForm::kNfkc || form_ == UnicodeForm::kNfkd;
    const auto options =
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0));
    utf8proc_int parts[64];
    int last_class = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int>(c), parts, 64, options, &last_class);
    MODELSLIM_CHECK(count >= 0 && count <= 64);  // the longest decomposition of Unicode has 18
    run.insert(run.end(), parts, parts + count);
  }

  // Puts marks in canonical order (a stable sort of each run of them: no quadratic exchange), composes, encodes.
  void Finish(std::vector<utf8proc_int>& run, std::string& out) const {
    const auto mark_class = [](utf8proc_int c) { return utf8proc_get_property(c)->combining_class; };
    for (auto it = run.begin(); it != run.end();) {
      if (mark_class(*it) == 0) {
        ++it;
        continue;
      }
      auto end = std::find_if(it, run.end(), [&](utf8proc_int c) { return mark_class(c) == 0; });
      std::stable_sort(it, end, [&](utf8proc_int a, utf8proc_int b) { return mark_class(a) < mark_class(b); });
      it = end;
    }
    auto length = static_cast<utf8proc_ssize_t>(run.size());
    if (form_ == UnicodeForm::kNfc || form_ == UnicodeForm::kNfkc) {
      length = utf8proc_normalize_utf32(run.data(), length,
                                        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
      MODELSLIM_CHECK(length >= 0);
    }
    for (utf8proc_ssize_t i = 0; i < length; ++i) AppendUtf8(out, static_cast<char32_t>(run[i]));
  }

  UnicodeForm form_;
};

class Lowercase : public Normalizer {
 public:
  void Rewrite(std::string& text, size_t) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = DecodeUtf8(text.data() + i);
      if (c.code == 0x130) {  // the only character whose lower case is two
        out += "i\u0307";
      } else {
        AppendUtf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int>(c.code))));
      }
      i += c.size;
    }
    text = std::move(out);
  }
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void Rewrite(std::string& text, size_t) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void Rewrite(std::string& text, size_t limit) const override {
    size_t at = text.find(from_);
    if (at == std::string::npos) return;
    std::string out;
    out.reserve(text.size() * 2);
    size_t done = 0;
    for (; at != std::string::npos; at = text.find(from_, done)) {
      out.append(text, done, at - done).append(to_);
      done = at + from_.size();
      CheckGrowth(out.size(), limit);
    }
    out.append(text, done);
    text = std::move(out);
  }

 private:
  std::string from_, to_;
};

class RegexReplace : public Normalizer {
 public:
  RegexReplace(std::string_view pattern, std::string to, std::string_view where)
      : regex_(pattern, where), to_(std::move(to)) {}
  void Rewrite(std::string& text, size_t limit) const override {
    std::vector<TextRange> matches;
    regex_.FindAll(text, matches);
    if (matches.empty()) return;
    std::string out;
    size_t done = 0;
    for (const TextRange& match : matches) {
      out.append(text, done, match.begin - done).append(to_);
      done = match.end;
      CheckGrowth(out.size(), limit);
    }
    out.append(text, done);
    text = std::move(out);
  }

 private:
  Regex regex_;
  std::string to_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void Rewrite(std::string& text, size_t) const override {
    std::string_view rest = text;
    while (left_ && !rest.empty() && (CharClass(DecodeUtf8(rest.data()).code) & kCharSpace)) {
      rest.remove_prefix(DecodeUtf8(rest.data()).size);
    }
    while (right_ && !rest.empty() && (CharClass(DecodeLastUtf8(rest).code) & kCharSpace)) {
      rest.remove_suffix(DecodeLastUtf8(rest).size);
    }
    if (rest.size() != text.size()) text = std::string(rest);
  }

 private:
  bool left_, right_;
};

class StripAccents : public Normalizer {
 public:
  void Rewrite(std::string& text, size_t) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = DecodeUtf8(text.data() + i);
      if (!IsLibraryMark(c.code)) out.append(text, i, c.size);
      i += c.size;
    }
    text = std::move(out);
  }
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void Rewrite(std::string& text, size_t) const override {
    std::string out;
    AppendByteStandIns(out, text);
    text = std::move(out);
  }
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  void Rewrite(std::string& text, size_t limit) const override {
    for (const auto& step : steps_) {
      ThrowIfStopped();
      step->Rewrite(text, limit);
      CheckGrowth(text.size(), limit);
    }
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

}  // namespace

void Normalizer::Apply(std::string& text) const { Rewrite(text, GrowthLimit(text.size())); }

NormalizerPtr MakeUnicodeNormalizer(UnicodeForm form) { return std::make_unique<UnicodeNormalizer>(form); }
NormalizerPtr MakeLowercase() { return std::make_unique<Lowercase>(); }
NormalizerPtr MakePrepend(std::string prefix) { return std::make_unique<Prepend>(std::move(prefix)); }
NormalizerPtr MakeReplace(std::string from, std::string to) {
  if (from.empty()) return MakeNormalizerSequence({});
  return std::make_unique<Replace>(std::move(from), std::move(to));
}
NormalizerPtr MakeRegexReplace(std::string_view pattern, std::string to, std::string_view where) {
  return std::make_unique<RegexReplace>(pattern, std::move(to), where);
}
NormalizerPtr MakeStrip(bool left, bool right) { return std::make_unique<Strip>(left, right); }
NormalizerPtr MakeStripAccents() { return std::make_unique<StripAccents>(); }
NormalizerPtr MakeByteLevelNormalizer() { return std::make_unique<ByteLevelNormalizer>(); }
NormalizerPtr MakeNormalizerSequence(std::vector<NormalizerPtr> steps) {
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

}  // namespace modelslim
