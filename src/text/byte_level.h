// The printable stand-ins of bytes that byte-level vocabularies are written in (GPT-2): 0x21-0x7E, 0xA1-0xAC and
// 0xAE-0xFF stand for themselves, the other 68 bytes for U+0100 and on, in increasing order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelslim {

// The code point that stands for each byte.
const std::array<char32_t, 256>& ByteStandIns();

// Appends the stand-in of every byte of `bytes`, in UTF-8.
void AppendByteStandIns(std::string& out, std::string_view bytes);

// The bytes that `token` stands for. False when it holds a character that stands for no byte.
bool BytesOfStandIns(std::string_view token, std::string& bytes);

}  // namespace modelslim
