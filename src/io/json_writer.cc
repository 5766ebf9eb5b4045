#include "io/json_writer.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "io/quote.h"

namespace modelslim {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void AppendUnit(std::string& out, unsigned unit) {
  const char text[] = {'\\', 'u', kHex[unit >> 12], kHex[(unit >> 8) & 15], kHex[(unit >> 4) & 15], kHex[unit & 15]};
  out.append(text, sizeof text);
}

unsigned CodePoint(std::string_view text, size_t at, size_t length) {
  const auto first = static_cast<unsigned char>(text[at]);
  unsigned code = length == 2 ? first & 0x1fu : length == 3 ? first & 0x0fu : first & 0x07u;
  for (size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fu);
  return code;
}

// The escape of one ASCII character; false when it stands for itself.
bool AppendAsciiEscape(std::string& out, unsigned char byte, bool ensure_ascii) {
  switch (byte) {
    case '"':
      out += "\\\"";
      return true;
    case '\\':
      out += "\\\\";
      return true;
    case '\n':
      out += "\\n";
      return true;
    case '\r':
      out += "\\r";
      return true;
    case '\t':
      out += "\\t";
      return true;
    case '\b':
      out += "\\b";
      return true;
    case '\f':
      out += "\\f";
      return true;
    default:
      break;
  }
  if (byte >= 0x20 && (byte != 0x7f || !ensure_ascii)) return false;
  AppendUnit(out, byte);
  return true;
}

// Three bytes that would be half a surrogate pair, as Json keeps it.
bool IsLoneSurrogate(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  return byte(0) == 0xed && byte(1) >= 0xa0 && byte(1) <= 0xbf && (byte(2) & 0xc0u) == 0x80u;
}

// Appends what stands at `at` beyond ASCII and returns how many bytes it took.
size_t AppendBeyondAscii(std::string& out, std::string_view text, size_t at, bool ensure_ascii) {
  const size_t length = Utf8Length(text, at);
  if (IsLoneSurrogate(text, at)) {  // escaped in any case: it has no other form that is UTF-8
    AppendUnit(out, CodePoint(text, at, 3));
    return 3;
  }
  if (length == 0) {
    if (ensure_ascii)
      AppendUnit(out, 0xdc00u + static_cast<unsigned char>(text[at]));
    else
      out += "\xef\xbf\xbd";
    return 1;
  }
  if (!ensure_ascii) {
    out.append(text, at, length);
  } else if (const unsigned code = CodePoint(text, at, length); code < 0x10000) {
    AppendUnit(out, code);
  } else {
    AppendUnit(out, 0xd800u + ((code - 0x10000u) >> 10));
    AppendUnit(out, 0xdc00u + ((code - 0x10000u) & 0x3ffu));
  }
  return length;
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80) {
      i += AppendBeyondAscii(out, text, i, ensure_ascii);
      continue;
    }
    if (!AppendAsciiEscape(out, byte, ensure_ascii)) out += text[i];
    ++i;
  }
  out += '"';
}

void AppendPythonFloat(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
    return;
  }
  // "d.ddde[+-]xx" gives the digits and the place of the point; Python then writes an exponent from 1e16 up and below
  // 1e-4.
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(result.ptr - buffer));
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) {
    out.append(text);
    return;
  }
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (text.front() == '-') out += '-';
  if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    return;
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) digits.append(whole + 1 - digits.size(), '0');
  out += digits.substr(0, whole) + "." + digits.substr(whole);
}

JsonWriter::JsonWriter(std::string* out, int indent, bool ensure_ascii)
    : out_(out), indent_(indent), ensure_ascii_(ensure_ascii) {}

void JsonWriter::NewLine(size_t depth) {
  *out_ += '\n';
  out_->append(depth * static_cast<size_t>(indent_), ' ');
}

void JsonWriter::BeforeValue() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) return;
  if (levels_.back().count++ > 0) *out_ += indent_ == Json::kOneLine ? ", " : ",";
  if (indent_ >= 0) NewLine(levels_.size());
}

void JsonWriter::Key(std::string_view key) {
  MODELSLIM_CHECK(!levels_.empty() && levels_.back().close == '}' && !after_key_);
  BeforeValue();
  AppendJsonString(*out_, key, ensure_ascii_);
  *out_ += indent_ == Json::kCompact ? ":" : ": ";
  after_key_ = true;
}

void JsonWriter::Open(char open, char close) {
  MODELSLIM_CHECK(levels_.empty() || levels_.back().close == ']' || after_key_);
  BeforeValue();
  *out_ += open;
  levels_.push_back({close, 0});
}

void JsonWriter::Close(char close) {
  MODELSLIM_CHECK(!levels_.empty() && levels_.back().close == close && !after_key_);
  const bool empty = levels_.back().count == 0;
  levels_.pop_back();
  if (indent_ >= 0 && !empty) NewLine(levels_.size());
  *out_ += close;
}

void JsonWriter::BeginObject() { Open('{', '}'); }
void JsonWriter::EndObject() { Close('}'); }
void JsonWriter::BeginArray() { Open('[', ']'); }
void JsonWriter::EndArray() { Close(']'); }

void JsonWriter::String(std::string_view value) {
  MODELSLIM_CHECK(levels_.empty() || levels_.back().close == ']' || after_key_);
  BeforeValue();
  AppendJsonString(*out_, value, ensure_ascii_);
}

void JsonWriter::Int(int64_t value) {
  MODELSLIM_CHECK(levels_.empty() || levels_.back().close == ']' || after_key_);
  BeforeValue();
  *out_ += std::to_string(value);
}

void JsonWriter::Value(const Json& value) {
  if (const JsonObject* const object = value.object()) {
    BeginObject();
    for (const JsonMember& member : *object) {
      Key(member.key);
      Value(member.value);
    }
    return EndObject();
  }
  if (const JsonArray* const array = value.array()) {
    BeginArray();
    for (const Json& element : *array) Value(element);
    return EndArray();
  }
  if (const std::string* const text = value.string()) return String(*text);
  if (const auto integer = value.integer()) return Int(*integer);
  MODELSLIM_CHECK(levels_.empty() || levels_.back().close == ']' || after_key_);
  BeforeValue();
  switch (value.kind()) {
    case Json::Kind::kBool:
      *out_ += *value.boolean() ? "true" : "false";
      break;
    case Json::Kind::kDouble:
      AppendPythonFloat(*out_, *value.number());
      break;
    case Json::Kind::kBigInt:
      *out_ += *value.big_integer();
      break;
    case Json::Kind::kUint:
      *out_ += std::to_string(*value.unsigned_integer());
      break;
    default:
      *out_ += "null";
  }
}

}  // namespace modelslim
