// One alternative of a pattern, without braces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelslim {

class Glob {
 public:
  explicit Glob(std::string_view text);

  bool Matches(std::string_view name) const;

  // What every matching name begins and ends with. Equal to the whole when IsLiteral().
  const std::string& prefix() const { return prefix_; }
  const std::string& suffix() const { return suffix_; }
  bool IsLiteral() const { return literal_; }

 private:
  struct Set {
    bool negated = false;
    std::vector<std::pair<uint32_t, uint32_t>> ranges;

    bool Has(uint32_t code) const;
  };
  struct Token {
    enum class Kind : uint8_t { kLiteral, kAny, kSet, kStar } kind;
    std::string text;  // kLiteral
    Set set;           // kSet
  };

  void Parse(std::string_view text);
  size_t ParseSet(std::string_view text, size_t at, Set& set) const;
  void AddLiteral(std::string_view text);
  // Where `token` ends in `name` when it begins at `at`; npos when it does not match there.
  static size_t Step(const Token& token, std::string_view name, size_t at);

  std::vector<Token> tokens_;
  std::string prefix_;
  std::string suffix_;
  bool literal_ = false;
  bool wild_start_ = false;
};

}  // namespace modelslim
