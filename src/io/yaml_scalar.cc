#include "io/yaml_scalar.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>

namespace modelslim {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsDigitOrUnderscore(char c) { return IsDigit(c) || c == '_'; }

template <size_t N>
bool IsOneOf(std::string_view text, const std::array<std::string_view, N>& words) {
  for (std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

constexpr std::array<std::string_view, 9> kTrueWords{"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
constexpr std::array<std::string_view, 9> kFalseWords{"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNullWords{"", "~", "null", "Null", "NULL"};

bool AllOf(std::string_view text, bool (*accept)(char)) {
  for (char c : text) {
    if (!accept(c)) return false;
  }
  return true;
}

// The text without underscores.
std::string Strip(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != '_') out += c;
  }
  return out;
}

// Takes [-+] off the front; true for '-'.
bool TakeSign(std::string_view& text) {
  if (text.empty() || (text[0] != '-' && text[0] != '+')) return false;
  const bool negative = text[0] == '-';
  text.remove_prefix(1);
  return negative;
}

void SetInteger(YamlNode& node, bool negative, const std::string& digits, int base) {
  node.kind = YamlKind::kInt;
  uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  const uint64_t limit = uint64_t{1} << 63;
  node.integer_ok = error == std::errc() && (magnitude < limit || (negative && magnitude == limit));
  double value = 0;
  for (char c : digits) {
    const int digit = IsDigit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    value = value * base + digit;
  }
  node.number = negative ? -value : value;
  if (node.integer_ok) node.integer = static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude);
}

// "12:30" and "1:2:3", digits checked by the caller; parts after the first are below 60.
bool SplitBase60(std::string_view text, std::vector<std::string_view>& parts) {
  parts.clear();
  size_t start = 0;
  while (true) {
    const size_t colon = text.find(':', start);
    parts.push_back(text.substr(start, colon == std::string_view::npos ? colon : colon - start));
    if (colon == std::string_view::npos) break;
    start = colon + 1;
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string_view part = parts[i].substr(0, parts[i].find('.'));
    if (part.empty() || part.size() > 2 || !AllOf(part, IsDigit)) return false;
    if (part.size() == 2 && part[0] > '5') return false;
  }
  return parts.size() > 1;
}

bool TryBase60Integer(YamlNode& node, bool negative, std::string_view text) {
  std::vector<std::string_view> parts;
  if (text[0] < '1' || text[0] > '9' || text.find('.') != std::string_view::npos || !SplitBase60(text, parts))
    return false;
  if (!AllOf(parts[0], IsDigitOrUnderscore)) return false;
  __int128 value = 0;
  double number = 0;
  bool fits = true;
  for (std::string_view part : parts) {
    const std::string digits = Strip(part);
    uint64_t digit = 0;
    fits = fits && std::from_chars(digits.data(), digits.data() + digits.size(), digit).ec == std::errc();
    fits = fits && value < (__int128{1} << 100);
    if (fits) value = value * 60 + digit;
    number = number * 60 + std::strtod(digits.c_str(), nullptr);
  }
  node.kind = YamlKind::kInt;
  node.integer_ok = fits && value <= std::numeric_limits<int64_t>::max();
  node.number = negative ? -number : number;
  if (node.integer_ok) node.integer = static_cast<int64_t>(negative ? -value : value);
  return true;
}

bool TryInteger(YamlNode& node, std::string_view text) {
  const bool negative = TakeSign(text);
  if (text.empty() || !IsDigit(text[0])) return false;
  if (text == "0") return SetInteger(node, negative, "0", 10), true;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'x')) {
    const bool binary = text[1] == 'b';
    const std::string digits = Strip(text.substr(2));
    for (char c : digits) {
      const bool hex = IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (binary ? (c != '0' && c != '1') : !hex) return false;
    }
    if (digits.empty()) return false;
    return SetInteger(node, negative, digits, binary ? 2 : 16), true;
  }
  if (text[0] == '0') {
    for (char c : text) {
      if (c != '_' && (c < '0' || c > '7')) return false;
    }
    return SetInteger(node, negative, Strip(text), 8), true;
  }
  if (AllOf(text, IsDigitOrUnderscore)) return SetInteger(node, negative, Strip(text), 10), true;
  return text.find(':') != std::string_view::npos && TryBase60Integer(node, negative, text);
}

double ToDouble(const std::string& text) {
  // strtod and not from_chars: out of range gives infinity or zero, as Python does.
  return std::strtod(text.c_str(), nullptr);
}

// digits '.' digits_ ([eE][-+]digits)? with at least one digit in front of the dot or behind it.
bool IsDecimalFloat(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view front = text.substr(0, dot);
  std::string_view back = text.substr(dot + 1);
  if (!front.empty() && (!IsDigit(front[0]) || !AllOf(front, IsDigitOrUnderscore))) return false;
  const size_t exponent = back.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    const std::string_view tail = back.substr(exponent + 1);
    if (tail.size() < 2 || (tail[0] != '-' && tail[0] != '+') || !AllOf(tail.substr(1), IsDigit)) return false;
    back = back.substr(0, exponent);
  }
  if (front.empty() && (back.empty() || !IsDigit(back[0]))) return false;
  return AllOf(back, IsDigitOrUnderscore);
}

bool TryBase60Float(YamlNode& node, bool negative, std::string_view text) {
  const size_t dot = text.find('.');
  std::vector<std::string_view> parts;
  if (dot == std::string_view::npos || text.find(':', dot) != std::string_view::npos) return false;
  if (!IsDigit(text[0]) || !SplitBase60(text, parts)) return false;
  if (!AllOf(parts[0], IsDigitOrUnderscore) || !AllOf(text.substr(dot + 1), IsDigitOrUnderscore)) return false;
  double value = 0;
  for (std::string_view part : parts) value = value * 60 + ToDouble(Strip(part));
  node.kind = YamlKind::kFloat;
  node.number = negative ? -value : value;
  return true;
}

bool TryFloat(YamlNode& node, std::string_view text) {
  const std::string_view whole = text;
  const bool negative = TakeSign(text);
  if (text == ".inf" || text == ".Inf" || text == ".INF") {
    node.number = negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  } else if (whole == ".nan" || whole == ".NaN" || whole == ".NAN") {
    node.number = std::numeric_limits<double>::quiet_NaN();
  } else if (IsDecimalFloat(text)) {
    if (text[0] == '.' && whole.size() != text.size()) return false;  // "-.5" is a string in YAML 1.1
    node.number = ToDouble(Strip(whole));
  } else {
    return !text.empty() && text.find(':') != std::string_view::npos && TryBase60Float(node, negative, text);
  }
  node.kind = YamlKind::kFloat;
  return true;
}

bool TryBool(YamlNode& node, std::string_view text) {
  node.boolean = IsOneOf(text, kTrueWords);
  if (!node.boolean && !IsOneOf(text, kFalseWords)) return false;
  node.kind = YamlKind::kBool;
  return true;
}

}  // namespace

void ResolvePlainScalar(YamlNode& node) {
  const std::string_view text = node.text;
  node.kind = YamlKind::kString;
  if (IsOneOf(text, kNullWords)) {
    node.kind = YamlKind::kNull;
    return;
  }
  const char first = text[0];
  if (IsDigit(first) || first == '-' || first == '+' || first == '.') {
    if (TryFloat(node, text) || TryInteger(node, text)) return;
  } else {
    TryBool(node, text);
  }
}

bool ResolveTaggedScalar(std::string_view tag, YamlNode& node) {
  const std::string_view text = node.text;
  node.kind = YamlKind::kString;
  if (tag == "str") return true;
  if (tag == "null") return node.kind = YamlKind::kNull, true;
  if (tag == "bool") return TryBool(node, text);
  if (tag == "int") return TryInteger(node, text);
  if (tag != "float") return false;
  if (TryFloat(node, text)) return true;
  if (!TryInteger(node, text)) return false;
  node.kind = YamlKind::kFloat;
  return true;
}

}  // namespace modelslim
