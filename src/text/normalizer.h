// Normalizers: the first step of a tokenizer, a rewriting of the text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Rewrites well-formed UTF-8 in place; the result is well-formed. Thread-safe. Throws Error(kUnsupported) when the
  // text grows beyond GrowthLimit() of its size, and Stopped.
  void Apply(std::string& text) const;
  // The same with a limit in bytes. A step that multiplies by no more than a small number may leave the check of its
  // result to the caller.
  virtual void Rewrite(std::string& text, size_t limit) const = 0;
};
using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };
NormalizerPtr MakeUnicodeNormalizer(UnicodeForm form);
// Every character by its own full lower-case mapping.
NormalizerPtr MakeLowercase();
// Puts `prefix` in front of a text that is not empty.
NormalizerPtr MakePrepend(std::string prefix);
NormalizerPtr MakeReplace(std::string from, std::string to);
// `pattern` in the syntax of text/regex.h; `where` names it in errors.
NormalizerPtr MakeRegexReplace(std::string_view pattern, std::string to, std::string_view where);
// Removes white space at the ends.
NormalizerPtr MakeStrip(bool left, bool right);
// Removes the characters of category M.
NormalizerPtr MakeStripAccents();
// Writes every byte as its printable stand-in (byte_level.h).
NormalizerPtr MakeByteLevelNormalizer();
// One after the other; none at all leaves the text as it is.
NormalizerPtr MakeNormalizerSequence(std::vector<NormalizerPtr> steps);

}  // namespace modelslim
