// Regular expressions as tokenizer files write them: Oniguruma syntax with Unicode classes, run by PCRE2's compiler.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

// Bytes [begin, end) of a text.
struct TextRange {
  uint32_t begin;
  uint32_t end;
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

class Regex {
 public:
  // Throws Error(kUnsupported) naming `where` (file and JSON path) when the pattern is malformed or uses what PCRE2
  // cannot express.
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Appends every match in `text` from left to right, as Oniguruma's iterator yields them: an empty match that touches
  // the previous one is skipped. `text` must be well-formed UTF-8 of less than 4 GiB. Thread-safe. Throws
  // Error(kUnsupported) when a pattern backtracks without end.
  void FindAll(std::string_view text, std::vector<TextRange>& matches) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  std::string pattern_;
  std::string where_;
  std::unique_ptr<Code> code_;
};

// The same language for PCRE2 (options UTF, UCP, MULTILINE, newline LF). Exposed for tests.
// Throws Error(kUnsupported) naming `where`.
std::string TranslateRegex(std::string_view pattern, std::string_view where);
// `text` with every character that means something in a pattern escaped.
std::string EscapeRegex(std::string_view text);

}  // namespace modelslim
