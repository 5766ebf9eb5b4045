// Module-name patterns: shell wildcards with brace expansion, as the include and exclude lists of recipes use them.
//
//   *            any run of characters, dots and slashes included
//   ?            any one character (one UTF-8 code point)
//   [abc] [a-z] [!abc] [^abc] [[:digit:]]   sets, negated sets, POSIX classes
//   \x           the character x itself
//   {a,b} {0..3} {00..10} {0..10..2} {a..c} expanded before matching, also nested
//
// {x} without comma or range, and unclosed [ or {, are literal. Wildcards never match a dot that begins the name. A
// pattern always matches the name that is equal to it, letter by letter. Matching is case-sensitive and over the whole
// name. Source: the behaviour of msModelSlim 26.1.0 (fnmatch with brace expansion only).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace modelslim {

inline constexpr size_t kMaxPatternExpansions = 1000;

// The alternatives of a pattern after brace expansion, in order, duplicates kept. Throws Error(kSchema) when there
// would be more than kMaxPatternExpansions, without building them.
std::vector<std::string> ExpandBraces(std::string_view pattern);

// Immutable after construction, so any number of threads may match with one object.
class CompiledPattern {
 public:
  // Throws Error(kSchema) as ExpandBraces does.
  explicit CompiledPattern(std::string_view text);
  ~CompiledPattern();
  CompiledPattern(CompiledPattern&&) noexcept;
  CompiledPattern& operator=(CompiledPattern&&) noexcept;

  const std::string& text() const { return text_; }
  size_t alternative_count() const;
  bool Matches(std::string_view name) const;

 private:
  struct Index;
  std::string text_;
  std::unique_ptr<const Index> index_;
};

}  // namespace modelslim
