// Added tokens: strings that are looked for in the text before anything else and become one id each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace modelslim {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text
  bool special = false;
};

// A set of strings, matched from left to right, the longest at each place.
class AddedTokenMatcher {
 public:
  // Tokens longer than this are refused by the reader of the file, so that matching stays linear in the text.
  static constexpr size_t kMaxContent = 1024;

  // A part of the text: a token's, or (id -1) what lies between.
  struct Part {
    int32_t id;
    size_t begin, end;
  };

  AddedTokenMatcher();
  // An empty `content` is ignored; of equal ones the first counts.
  void Add(const AddedToken& token, std::string_view content);
  bool empty() const { return tokens_.empty(); }

  // Parts cover the text in order; empty gaps are left out.
  void Split(std::string_view text, std::vector<Part>& parts) const;

 private:
  struct Token {
    int32_t id;
    bool single_word, lstrip, rstrip;
  };
  // The token of the longest match at `at`, or -1; `end` is set behind it.
  int Match(std::string_view text, size_t at, size_t& end) const;
  int32_t Child(int32_t node, uint8_t byte) const;

  std::vector<Token> tokens_;
  bool first_[256] = {};
  int32_t roots_[256];
  std::vector<int> token_of_node_;                  // -1: no token ends here
  std::unordered_map<uint64_t, int32_t> children_;  // node << 8 | byte
  int single_first_ = -1;                           // the only first byte, where there is only one
};

}  // namespace modelslim
