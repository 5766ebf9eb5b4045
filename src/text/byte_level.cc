#include "text/byte_level.h"

#include "text/unicode.h"

namespace modelslim {

const std::array<char32_t, 256>& ByteStandIns() {
  static const std::array<char32_t, 256> table = [] {
    std::array<char32_t, 256> stand_ins{};
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      stand_ins[byte] = printable ? byte : next++;
    }
    return stand_ins;
  }();
  return table;
}

void AppendByteStandIns(std::string& out, std::string_view bytes) {
  const auto& stand_ins = ByteStandIns();
  for (const char c : bytes) AppendUtf8(out, stand_ins[static_cast<uint8_t>(c)]);
}

bool BytesOfStandIns(std::string_view token, std::string& bytes) {
  static const std::array<int16_t, 0x144> reverse = [] {
    std::array<int16_t, 0x144> table{};
    table.fill(-1);
    for (int byte = 0; byte < 256; ++byte) table[ByteStandIns()[byte]] = static_cast<int16_t>(byte);
    return table;
  }();
  bytes.clear();
  for (size_t i = 0; i < token.size();) {
    const Utf8Char c = DecodeUtf8(token.data() + i);
    if (c.code >= reverse.size() || reverse[c.code] < 0) return false;
    bytes.push_back(static_cast<char>(reverse[c.code]));
    i += c.size;
  }
  return true;
}

}  // namespace modelslim
