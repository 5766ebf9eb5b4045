#include "io/yaml_text.h"

#include <cmath>
#include <cstdio>

#include "io/yaml_scalar.h"

namespace modelslim {
namespace {

// Length of the well-formed UTF-8 sequence at the front, 0 when it is none. `code` receives the code point.
size_t DecodeUtf8(std::string_view text, uint32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return code = lead, 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  code = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kSmallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
  return length;
}

bool IsAllowed(uint32_t code) {
  if (code == '\t' || code == '\n' || code == '\r' || code == 0x85) return true;
  return code >= 0x20 && code != 0x7F && !(code > 0x7F && code < 0xA0) && code != 0xFFFE && code != 0xFFFF;
}

std::string Hex(uint32_t value) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "%02X", value);
  return buffer;
}

}  // namespace

std::optional<YamlProblem> FindBadText(std::string_view text) {
  SourcePos pos{1, 1};
  size_t at = 0;
  while (at < text.size()) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(text.substr(at), code);
    if (length == 0) {
      return YamlProblem{pos, "invalid UTF-8: byte 0x" + Hex(static_cast<unsigned char>(text[at])),
                         "save the file as UTF-8"};
    }
    if (!IsAllowed(code) || (code == 0xFEFF && at > 0)) {
      return YamlProblem{pos, "character U+00" + Hex(code) + " is not allowed in YAML", "delete the character"};
    }
    at += length;
    if (code == '\n') {
      ++pos.line;
      pos.column = 1;
    } else {
      pos.column += static_cast<int>(length);
    }
  }
  return std::nullopt;
}

std::string_view YamlKindName(YamlKind kind) {
  switch (kind) {
    case YamlKind::kNull:
      return "null";
    case YamlKind::kBool:
      return "a boolean";
    case YamlKind::kInt:
      return "an integer";
    case YamlKind::kFloat:
      return "a number";
    case YamlKind::kString:
      return "a string";
    case YamlKind::kSequence:
      return "a list";
    case YamlKind::kMapping:
      return "a mapping";
  }
  return "?";
}

namespace {

bool NeedsQuotes(std::string_view text) {
  YamlNode probe;
  probe.text = std::string(text);
  ResolvePlainScalar(probe);
  if (probe.kind != YamlKind::kString) return true;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`=<";
  if (kIndicators.find(text[0]) != std::string_view::npos || text[0] == ' ' || text.back() == ' ') return true;
  if (text.back() == ':' || text.find(": ") != text.npos || text.find(" #") != text.npos) return true;
  return text.find_first_of("\n\r\t,[]{}\\") != text.npos;
}

std::string DoubleQuoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else
      out += c;
  }
  return out + '"';
}

void Append(const YamlNode& node, size_t max_length, std::string& out) {
  if (out.size() > max_length) return;
  if (node.kind == YamlKind::kSequence) {
    out += '[';
    for (size_t i = 0; i < node.items.size() && out.size() <= max_length; ++i) {
      if (i > 0) out += ", ";
      Append(*node.items[i], max_length, out);
    }
    out += ']';
  } else if (node.kind == YamlKind::kMapping) {
    out += '{';
    for (size_t i = 0; i < node.entries.size() && out.size() <= max_length; ++i) {
      if (i > 0) out += ", ";
      out += YamlQuoteIfNeeded(node.entries[i].key) + ": ";
      Append(*node.entries[i].value, max_length, out);
    }
    out += '}';
  } else if (node.kind == YamlKind::kString) {
    out += node.quoted ? YamlQuoteIfNeeded(node.text) : node.text;
  } else {
    out += node.text.empty() ? "null" : node.text;
  }
}

}  // namespace

std::string YamlQuoteIfNeeded(std::string_view text) {
  return text.empty() || NeedsQuotes(text) ? DoubleQuoted(text) : std::string(text);
}

std::string YamlFlowText(const YamlNode& node, size_t max_length) {
  std::string out;
  Append(node, max_length, out);
  if (out.size() > max_length) {
    size_t end = max_length;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
    out.resize(end);
    out += "...";
  }
  return out;
}

}  // namespace modelslim
