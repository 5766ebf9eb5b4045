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
  // Rewrites well-formed UTF-8 in place; the result is well-formed. Thread-safe.
  virtual void Apply(std::string& text) const = 0;
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
NormalizerPtr MakeNormalizerSequence(std::vector<NormalizerPtr> steps);

}  // namespace modelslim
