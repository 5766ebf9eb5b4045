#include "config/recipe/reader.h"

#include <algorithm>

#include "config/recipe/recipe.h"

namespace modelslim {

Reader::Step::Step(Reader& reader, std::string_view name) : reader_(reader), length_(reader.path_.size()) {
  if (length_ > 0) reader.path_ += '.';
  reader.path_ += name.find_first_of(".[] ") == std::string_view::npos ? std::string(name) : YamlQuoteIfNeeded(name);
}

Reader::Step::Step(Reader& reader, size_t index) : reader_(reader), length_(reader.path_.size()) {
  reader.path_ += "[" + std::to_string(index) + "]";
}

void Reader::Add(Severity severity, SourcePos pos, std::string message, Remark remark) {
  Diagnostic d;
  d.severity = severity;
  d.code = remark.code;
  d.file = file_;
  d.pos = pos;
  d.yaml_path = path_;
  d.message = std::move(message);
  d.expected = std::move(remark.expected);
  d.found = std::move(remark.found);
  d.suggestion = std::move(remark.suggestion);
  d.tip = std::move(remark.tip);
  diagnostics_.Add(std::move(d));
}

void Reader::Error(SourcePos pos, std::string message, Remark remark) {
  ++errors_;
  Add(Severity::kError, pos, std::move(message), std::move(remark));
}

void Reader::ErrorAt(std::string_view path, SourcePos pos, std::string message, Remark remark) {
  std::string here = std::move(path_);
  path_ = path;
  Error(pos, std::move(message), std::move(remark));
  path_ = std::move(here);
}

void Reader::Warn(SourcePos pos, std::string message, Remark remark) {
  Add(Severity::kWarning, pos, std::move(message), std::move(remark));
}

void Reader::WarnAt(std::string_view path, SourcePos pos, std::string message, Remark remark) {
  std::string here = std::move(path_);
  path_ = path;
  Warn(pos, std::move(message), std::move(remark));
  path_ = std::move(here);
}

void Reader::WrongType(const YamlNode& node, std::string_view expected, std::string tip) {
  Remark remark;
  remark.expected = expected;
  remark.found = FoundText(node);
  remark.tip = std::move(tip);
  Error(node.pos, "wrong type", std::move(remark));
}

void Reader::Record(SourcePos pos, std::string value) { values_.push_back({path_, std::move(value), pos}); }

void Reader::Amend(std::string value) {
  const auto last =
      std::find_if(values_.rbegin(), values_.rend(), [&](const EffectiveValue& each) { return each.path == path_; });
  if (last != values_.rend()) last->value = std::move(value);
}

std::string FoundText(const YamlNode& node) {
  switch (node.kind) {
    case YamlKind::kNull:
      return "null";
    case YamlKind::kSequence:
      return node.items.empty() ? "an empty list" : "a list";
    case YamlKind::kMapping:
      return "a mapping";
    case YamlKind::kString:
      return "the string " + (node.text.empty() ? "\"\"" : YamlFlowText(node, 60));
    default:
      return YamlFlowText(node, 60);
  }
}

}  // namespace modelslim
