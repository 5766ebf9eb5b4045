// UTF-8 and the character classes that tokenizers ask for. Classes are those of the Unicode version of utf8proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelslim {

// Offset of the first byte that is not part of well-formed UTF-8 (no surrogates, nothing above U+10FFFF), or npos.
size_t FirstInvalidUtf8(std::string_view text);

// Bits of CharClass().
enum : uint8_t {
  kCharLetter = 1,       // L*
  kCharMark = 2,         // M*
  kCharNumber = 4,       // N*
  kCharPunctuation = 8,  // P*
  kCharSymbol = 16,      // S*
  kCharSpace = 32,       // property White_Space
  kCharUpper = 64,       // Lu or Lt
  kCharLower = 128,      // Ll
};
uint8_t CharClass(char32_t c);
// The whole table behind CharClass(), indexed by code point below 0x110000; for loops over text.
const uint8_t* CharClassTable();

// What \w means to the Rust regex crate: Alphabetic (approximated by L, Nl and Other_Alphabetic marks), M, Nd, Pc and
// the two joiners.
bool IsWordChar(char32_t c);

struct Utf8Char {
  char32_t code;
  uint32_t size;  // bytes
};
// The code point at `p`. The text must be well-formed.
inline Utf8Char DecodeUtf8(const char* p) {
  const auto byte = [p](int i) { return static_cast<uint8_t>(p[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {((lead & 31U) << 6) | (byte(1) & 63U), 2};
  if (lead < 0xF0) return {((lead & 15U) << 12) | ((byte(1) & 63U) << 6) | (byte(2) & 63U), 3};
  return {((lead & 7U) << 18) | ((byte(1) & 63U) << 12) | ((byte(2) & 63U) << 6) | (byte(3) & 63U), 4};
}
// The code point that ends at `text.size()`. `text` must be well-formed and not empty.
Utf8Char DecodeLastUtf8(std::string_view text);

void AppendUtf8(std::string& out, char32_t c);

}  // namespace modelslim
