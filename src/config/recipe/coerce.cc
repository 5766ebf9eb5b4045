#include "config/recipe/coerce.h"

#include "base/words.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace modelslim {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Python's float(): decimal digits, exponent, inf, nan; no hexadecimal.
std::optional<double> NumberOf(std::string_view text) {
  const std::string trimmed(Trimmed(text));
  if (trimmed.empty() || trimmed.find_first_of("xXpP(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(trimmed.c_str(), &end);
  if (end != trimmed.c_str() + trimmed.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> IntegerOf(std::string_view text) {
  std::string_view digits = Trimmed(text);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.starts_with("+-")) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || digits.empty()) return std::nullopt;
  std::string_view rest(end, static_cast<size_t>(digits.data() + digits.size() - end));
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    if (rest.find_first_not_of('0') != std::string_view::npos) return std::nullopt;
    rest = {};
  }
  return rest.empty() ? std::optional(value) : std::nullopt;
}

std::optional<bool> BoolOf(std::string_view text) {
  const std::string word = LowerAscii(text);
  for (std::string_view each : {"1", "t", "true", "y", "yes", "on"}) {
    if (word == each) return true;
  }
  for (std::string_view each : {"0", "f", "false", "n", "no", "off"}) {
    if (word == each) return false;
  }
  return std::nullopt;
}

bool CheckRule(Reader& reader, const YamlNode& node, double value, const NumberRule& rule) {
  if (!rule.any() || rule.Allows(value)) return true;
  reader.Error(node.pos, "value out of range",
               {.expected = rule.Text(), .found = NumberText(value), .suggestion = "", .tip = ""});
  return false;
}

}  // namespace

std::optional<bool> ReadBool(Reader& reader, const YamlNode& node) {
  if (node.kind == YamlKind::kBool) return node.boolean;
  if (!reader.strict_types) {
    if ((node.kind == YamlKind::kInt || node.kind == YamlKind::kFloat) && (node.number == 0 || node.number == 1)) {
      return node.number == 1;
    }
    if (node.kind == YamlKind::kString) {
      if (const std::optional<bool> value = BoolOf(node.text)) return value;
    }
  }
  reader.WrongType(node, "true or false");
  return std::nullopt;
}

std::optional<int64_t> ReadInt(Reader& reader, const YamlNode& node, const NumberRule& rule) {
  std::optional<int64_t> value;
  if (node.kind == YamlKind::kInt && node.integer_ok) value = node.integer;
  if (node.kind == YamlKind::kFloat && !reader.strict_types && node.number == std::floor(node.number) &&
      std::fabs(node.number) < 9e18) {
    value = static_cast<int64_t>(node.number);
  }
  if (node.kind == YamlKind::kBool && !reader.strict_types) value = node.boolean ? 1 : 0;
  if (node.kind == YamlKind::kString) value = IntegerOf(node.text);
  if (!value) {
    reader.WrongType(node, "an integer");
    return std::nullopt;
  }
  return CheckRule(reader, node, static_cast<double>(*value), rule) ? value : std::nullopt;
}

std::optional<double> ReadFloat(Reader& reader, const YamlNode& node, const NumberRule& rule) {
  std::optional<double> value;
  if (node.kind == YamlKind::kInt || node.kind == YamlKind::kFloat) value = node.number;
  if (node.kind == YamlKind::kBool && !reader.strict_types) value = node.boolean ? 1 : 0;
  if (node.kind == YamlKind::kString) value = NumberOf(node.text);
  if (!value) {
    reader.WrongType(node, "a number");
    return std::nullopt;
  }
  return CheckRule(reader, node, *value, rule) ? value : std::nullopt;
}

std::optional<std::string> ReadString(Reader& reader, const YamlNode& node, const FieldSpec& field) {
  if (node.kind != YamlKind::kString) {
    std::string tip;
    if (field.type.pattern && (node.kind == YamlKind::kMapping || node.kind == YamlKind::kSequence)) {
      tip = "a pattern with braces or brackets needs quotes";
    } else if (node.kind != YamlKind::kNull && node.kind != YamlKind::kMapping && node.kind != YamlKind::kSequence) {
      tip = "put it in quotes: \"" + node.text + "\"";
    }
    reader.WrongType(node, "a string", tip);
    return std::nullopt;
  }
  if (field.max_length > 0 && node.text.size() > field.max_length) {
    reader.Error(node.pos, "text too long",
                 {.expected = "at most " + std::to_string(field.max_length) + " characters",
                  .found = std::to_string(node.text.size()),
                  .suggestion = "",
                  .tip = ""});
    return std::nullopt;
  }
  if (field.not_blank && Trimmed(node.text).empty()) {
    reader.Error(node.pos, "the text is blank", {.expected = "some text", .found = "", .suggestion = "", .tip = ""});
    return std::nullopt;
  }
  return node.text;
}

std::string NumberText(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

std::string TypeText(const FieldSpec& field) {
  const TypeSpec& type = field.type;
  const auto plural = [&](std::string_view one, std::string_view many) { return std::string(type.list ? many : one); };
  std::string text;
  switch (type.type) {
    case ValueType::kBool:
      text = plural("true or false", "booleans");
      break;
    case ValueType::kInt:
      text = plural("an integer", "integers");
      break;
    case ValueType::kFloat:
      text = plural("a number", "numbers");
      break;
    case ValueType::kString:
      text = type.pattern ? plural("a pattern", "patterns") : plural("a string", "strings");
      break;
    case ValueType::kWord:
      text = JoinWords(type.words);
      break;
    case ValueType::kObject:
      text = plural("a mapping", "mappings");
      break;
    case ValueType::kUnion:
      text = plural("a mapping with type", "mappings with type");
      break;
    case ValueType::kFreeMapping:
      text = "a mapping";
      break;
  }
  if (type.list) text = (type.single_or_list ? "one or a list of " : "a list of ") + text;
  if (field.rule.any()) text += (field.rule.low && !field.rule.high ? " " : ", ") + field.rule.Text();
  return text;
}

}  // namespace modelslim
