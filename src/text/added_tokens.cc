#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "text/unicode.h"

namespace modelslim {
namespace {

bool EndsWithWord(std::string_view text) { return !text.empty() && IsWordChar(DecodeLastUtf8(text).code); }
bool StartsWithWord(std::string_view text) { return !text.empty() && IsWordChar(DecodeUtf8(text.data()).code); }

// Where the white space at the end of `text` begins.
size_t TrailingSpace(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = DecodeLastUtf8(text);
    if (!(CharClass(c.code) & kCharSpace)) break;
    text.remove_suffix(c.size);
  }
  return text.size();
}

size_t LeadingSpace(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const Utf8Char c = DecodeUtf8(text.data() + i);
    if (!(CharClass(c.code) & kCharSpace)) break;
    i += c.size;
  }
  return i;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher() { std::fill(std::begin(roots_), std::end(roots_), -1); }

void AddedTokenMatcher::Add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  const auto new_node = [this] {
    token_of_node_.push_back(-1);
    return static_cast<int32_t>(token_of_node_.size() - 1);
  };
  const auto lead = static_cast<uint8_t>(content[0]);
  if (roots_[lead] < 0) roots_[lead] = new_node();
  int32_t node = roots_[lead];
  for (size_t i = 1; i < content.size(); ++i) {
    const uint64_t key = (static_cast<uint64_t>(node) << 8) | static_cast<uint8_t>(content[i]);
    const auto it = children_.find(key);
    if (it != children_.end()) {
      node = it->second;
    } else {
      const int32_t child = new_node();
      children_.emplace(key, child);
      node = child;
    }
  }
  if (token_of_node_[node] >= 0) return;
  token_of_node_[node] = static_cast<int>(tokens_.size());
  if (tokens_.empty()) {
    single_first_ = lead;
  } else if (single_first_ != lead) {
    single_first_ = -1;
  }
  first_[lead] = true;
  tokens_.push_back({token.id, token.single_word, token.lstrip, token.rstrip});
}

int32_t AddedTokenMatcher::Child(int32_t node, uint8_t byte) const {
  const auto it = children_.find((static_cast<uint64_t>(node) << 8) | byte);
  return it == children_.end() ? -1 : it->second;
}

int AddedTokenMatcher::Match(std::string_view text, size_t at, size_t& end) const {
  int best = -1;
  int32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t i = at + 1; node >= 0; ++i) {
    if (token_of_node_[node] >= 0) {
      best = token_of_node_[node];
      end = i;
    }
    if (i >= text.size()) break;
    node = Child(node, static_cast<uint8_t>(text[i]));
  }
  return best;
}

void AddedTokenMatcher::Split(std::string_view text, std::vector<Part>& parts) const {
  size_t done = 0;
  size_t space_begin = 0, space_end = 0;  // the run of white space that was taken last: looked at once
  for (size_t at = 0; at < text.size() && !empty();) {
    if (single_first_ >= 0) {
      const void* next = std::memchr(text.data() + at, single_first_, text.size() - at);
      if (!next) break;
      at = static_cast<size_t>(static_cast<const char*>(next) - text.data());
    }
    size_t match_end = 0;
    const int index = first_[static_cast<uint8_t>(text[at])] ? Match(text, at, match_end) : -1;
    if (index < 0) {
      ++at;
      continue;
    }
    const Token& token = tokens_[index];
    size_t begin = at, end = match_end;
    at = match_end;
    if (token.single_word && (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) continue;
    if (token.lstrip) begin = begin <= done ? done : done + TrailingSpace(text.substr(done, begin - done));
    if (token.rstrip && (end < space_begin || end > space_end)) {
      space_begin = end;
      space_end = end + LeadingSpace(text.substr(end));
    }
    if (token.rstrip) end = space_end;
    if (done < begin) parts.push_back({-1, done, begin});
    parts.push_back({token.id, begin, end});
    done = end;
  }
  if (done != text.size()) parts.push_back({-1, done, text.size()});
}

}  // namespace modelslim
