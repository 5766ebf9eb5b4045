#include "config/patterns/glob.h"

#include <array>

namespace modelslim {
namespace {

constexpr size_t kNone = std::string_view::npos;

// The code point at `at` and its length; a byte that is not valid UTF-8 counts as one character.
std::pair<uint32_t, size_t> CodePointAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 1 || at + length > text.size()) return {lead, 1};
  uint32_t code = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {lead, 1};
    code = code << 6 | (byte(at + i) & 0x3Fu);
  }
  return {code, length};
}

struct PosixClass {
  std::string_view name;
  std::string_view ranges;  // pairs of characters
};
constexpr std::array<PosixClass, 13> kPosixClasses{{
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"ascii", std::string_view("\0\x7f", 2)},
    {"blank", "  \t\t"},
    {"cntrl", std::string_view("\0\x1f\x7f\x7f", 4)},
    {"digit", "09"},
    {"graph", "!~"},
    {"lower", "az"},
    {"print", " ~"},
    {"punct", "!/:@[`{~"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"xdigit", "09AFaf"},
}};
constexpr PosixClass kWordClass{"word", "09AZaz__"};

const PosixClass* FindClass(std::string_view name) {
  for (const PosixClass& each : kPosixClasses) {
    if (each.name == name) return &each;
  }
  return name == kWordClass.name ? &kWordClass : nullptr;
}

}  // namespace

bool Glob::Set::Has(uint32_t code) const {
  for (const auto& [low, high] : ranges) {
    if (code >= low && code <= high) return !negated;
  }
  return negated;
}

Glob::Glob(std::string_view text) {
  Parse(text);
  literal_ = tokens_.empty() || (tokens_.size() == 1 && tokens_[0].kind == Token::Kind::kLiteral);
  wild_start_ = !tokens_.empty() && tokens_.front().kind != Token::Kind::kLiteral;
  if (!tokens_.empty() && tokens_.front().kind == Token::Kind::kLiteral) prefix_ = tokens_.front().text;
  if (!tokens_.empty() && tokens_.back().kind == Token::Kind::kLiteral) suffix_ = tokens_.back().text;
}

void Glob::AddLiteral(std::string_view text) {
  if (tokens_.empty() || tokens_.back().kind != Token::Kind::kLiteral)
    tokens_.push_back({Token::Kind::kLiteral, "", {}});
  tokens_.back().text.append(text);
}

void Glob::Parse(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    if (text[i] == '*') {
      if (tokens_.empty() || tokens_.back().kind != Token::Kind::kStar) tokens_.push_back({Token::Kind::kStar, "", {}});
      ++i;
    } else if (text[i] == '?') {
      tokens_.push_back({Token::Kind::kAny, "", {}});
      ++i;
    } else if (text[i] == '[') {
      Set set;
      const size_t end = ParseSet(text, i, set);
      if (end == kNone) {
        AddLiteral("[");
        ++i;
      } else {
        tokens_.push_back({Token::Kind::kSet, "", std::move(set)});
        i = end;
      }
    } else {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      AddLiteral(text.substr(i, 1));
      ++i;
    }
  }
}

// Returns the index behind the closing bracket, npos when there is none.
size_t Glob::ParseSet(std::string_view text, size_t at, Set& set) const {
  size_t i = at + 1;
  if (i < text.size() && (text[i] == '!' || text[i] == '^')) {
    set.negated = true;
    ++i;
  }
  const size_t first = i;
  while (i < text.size()) {
    if (text[i] == ']' && i > first) return i + 1;
    if (text.substr(i, 2) == "[:") {
      const size_t end = text.find(":]", i + 2);
      const PosixClass* found = end == kNone ? nullptr : FindClass(text.substr(i + 2, end - i - 2));
      if (found != nullptr) {
        for (size_t r = 0; r + 1 < found->ranges.size(); r += 2) {
          set.ranges.emplace_back(static_cast<unsigned char>(found->ranges[r]),
                                  static_cast<unsigned char>(found->ranges[r + 1]));
        }
        i = end + 2;
        continue;
      }
    }
    const auto take = [&] {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      const auto [code, length] = CodePointAt(text, i);
      i += length;
      return code;
    };
    const uint32_t low = take();
    if (i + 1 < text.size() && text[i] == '-' && text[i + 1] != ']') {
      ++i;
      set.ranges.emplace_back(low, take());  // a reversed range holds nothing
    } else {
      set.ranges.emplace_back(low, low);
    }
  }
  return kNone;
}

size_t Glob::Step(const Token& token, std::string_view name, size_t at) {
  if (token.kind == Token::Kind::kLiteral) {
    return name.compare(at, token.text.size(), token.text) == 0 ? at + token.text.size() : kNone;
  }
  if (at >= name.size()) return kNone;
  const auto [code, length] = CodePointAt(name, at);
  return token.kind == Token::Kind::kAny || token.set.Has(code) ? at + length : kNone;
}

bool Glob::Matches(std::string_view name) const {
  if (literal_) return name == prefix_;
  if (name.empty()) return false;
  if (wild_start_ && name[0] == '.') return false;
  if (name.size() < prefix_.size() || !name.starts_with(prefix_) || !name.ends_with(suffix_)) return false;
  // Of a failing run of tokens only the last star can be given more: the earlier ones took the least they could.
  size_t token = 0, at = 0, star = kNone, star_at = 0;
  while (true) {
    if (token == tokens_.size()) {
      if (at == name.size()) return true;
    } else if (tokens_[token].kind == Token::Kind::kStar) {
      star = token++;
      star_at = at;
      if (token == tokens_.size()) return true;
      if (token + 1 == tokens_.size() && tokens_[token].kind == Token::Kind::kLiteral) {
        return name.size() - at >= suffix_.size();  // the suffix was compared above
      }
      continue;
    } else if (const size_t next = Step(tokens_[token], name, at); next != kNone) {
      at = next;
      ++token;
      continue;
    }
    if (star == kNone || star_at >= name.size()) return false;
    if (tokens_[star + 1].kind == Token::Kind::kLiteral) {
      const size_t found = name.find(tokens_[star + 1].text, star_at + 1);
      if (found == kNone) return false;
      star_at = found;
    } else {
      star_at += CodePointAt(name, star_at).second;
    }
    at = star_at;
    token = star + 1;
  }
}

}  // namespace modelslim
