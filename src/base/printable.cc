#include "base/printable.h"

#include <algorithm>
#include <cstdint>

namespace modelslim {
namespace {

constexpr char kHex[] = "0123456789abcdef";

struct Span {
  uint32_t first, last;
};

// Beyond ASCII. Joiners and the other zero-width characters stay: scripts and emoji need them.
constexpr Span kNotShown[] = {
    {0x7f, 0x9f},      // DEL and C1
    {0x61c, 0x61c},    // Arabic letter mark
    {0x200e, 0x200f},  // left-to-right and right-to-left marks
    {0x2028, 0x202e},  // line and paragraph separators; embeddings and overrides
    {0x2066, 0x2069},  // isolates
};

uint32_t CodePoint(std::string_view sequence) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(sequence[i])); };
  if (sequence.size() == 1) return byte(0);
  uint32_t code = byte(0) & (0x7fu >> sequence.size());
  for (size_t i = 1; i < sequence.size(); ++i) code = code << 6 | (byte(i) & 0x3fu);
  return code;
}

bool IsShown(uint32_t code) {
  return std::none_of(std::begin(kNotShown), std::end(kNotShown),
                      [code](const Span& span) { return code >= span.first && code <= span.last; });
}

void AppendHex(std::string& out, uint32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[value >> shift & 15u];
}

bool IsPlain(char c) { return c >= 0x20 && c < 0x7f; }

}  // namespace

size_t Utf8Length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    length = Utf8Length(text, at);
    if (length == 0) return false;
  }
  return true;
}

size_t IncompleteUtf8Tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0u) == 0x80u) continue;
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

void AppendPrintable(std::string& out, std::string_view text, Layout layout) {
  for (size_t i = 0; i < text.size();) {
    size_t plain = i;
    while (plain < text.size() && IsPlain(text[plain])) ++plain;
    out.append(text, i, plain - i);
    i = plain;
    if (i == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = Utf8Length(text, i);
    if (layout == Layout::kLinesAndTabs && (byte == '\n' || byte == '\t')) {
      out += text[i++];
      continue;
    }
    if (length == 0 || byte < 0x20) {
      out += "\\x";
      AppendHex(out, byte, 2);
      ++i;
      continue;
    }
    const uint32_t code = CodePoint(text.substr(i, length));
    if (IsShown(code)) {
      out.append(text, i, length);
    } else {
      out += "\\u";
      AppendHex(out, code, 4);
    }
    i += length;
  }
}

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  AppendPrintable(out, text, Layout::kLinesAndTabs);
  return out;
}

}  // namespace modelslim
