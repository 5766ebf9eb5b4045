#include "io/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "io/yaml_builder.h"
#include "io/yaml_text.h"

namespace modelslim {
namespace {

SourcePos ToPos(const YAML::Mark& mark) {
  return mark.is_null() ? SourcePos{1, 1} : SourcePos{mark.line + 1, mark.column + 1};
}

// yaml-cpp calls a plain scalar "?" and a quoted one "!".
std::string_view ToTag(const std::string& tag) { return tag == "?" ? std::string_view() : std::string_view(tag); }

class Events final : public YAML::EventHandler {
 public:
  explicit Events(YamlBuilder& builder) : builder_(builder) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { builder_.Null(ToPos(mark), anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override { builder_.Alias(ToPos(mark), anchor); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag == "!") last_quoted_ = ToPos(mark);
    builder_.Scalar(ToPos(mark), ToTag(tag), anchor, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    builder_.StartCollection(ToPos(mark), ToTag(tag), anchor, YamlKind::kSequence);
  }
  void OnSequenceEnd() override { builder_.EndCollection(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    builder_.StartCollection(ToPos(mark), ToTag(tag), anchor, YamlKind::kMapping);
  }
  void OnMapEnd() override { builder_.EndCollection(); }

  // Where the last quoted or block scalar began.
  SourcePos last_quoted() const { return last_quoted_; }

 private:
  YamlBuilder& builder_;
  SourcePos last_quoted_;
};

// Lets a second document through without building it.
class NoEvents final : public YAML::EventHandler {
 public:
  explicit NoEvents(SourcePos& start) : start_(start) {}
  void OnDocumentStart(const YAML::Mark& mark) override { start_ = ToPos(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  SourcePos& start_;
};

std::string_view LineAt(std::string_view text, int line, size_t& start) {
  start = 0;
  for (int i = 1; i < line; ++i) {
    const size_t end = text.find('\n', start);
    if (end == std::string_view::npos) return {};
    start = end + 1;
  }
  return text.substr(start, text.find('\n', start) - start);
}

// yaml-cpp takes the end of the file for a closing quote, when a line break comes before it.
bool IsUnclosedQuote(std::string_view text, SourcePos pos) {
  size_t start = 0;
  if (!pos.known()) return false;
  LineAt(text, pos.line, start);
  const size_t at = start + static_cast<size_t>(pos.column) - 1;
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return false;
  const char quote = text[at];
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\')
      ++i;
    else if (text[i] == quote && quote == '\'' && i + 1 < text.size() && text[i + 1] == quote)
      ++i;
    else if (text[i] == quote)
      return false;
  }
  return true;
}

struct Failure {
  YamlProblem problem;
  size_t star = std::string_view::npos;  // offset of an unquoted '*' that was taken for an alias
};

// The text from `at` to the end of the token as a person would see it.
std::string_view TokenAt(std::string_view line, size_t at) {
  size_t end = line.find_first_of(" ,]\r#", at);
  if (end == std::string_view::npos) end = line.size();
  return line.substr(at, end - at);
}

// Puts the parser's words into a user's.
void Explain(const std::string& what, std::string_view line, YamlProblem& problem) {
  const size_t first = line.find_first_not_of(" \t");
  if (first != std::string_view::npos && line.substr(0, first).find('\t') != std::string_view::npos) {
    problem.pos.column = static_cast<int>(line.find('\t')) + 1;
    problem.message = "a tab cannot indent";
    problem.tip = "indent with spaces";
  } else if (what == YAML::ErrorMsg::UNKNOWN_TOKEN) {
    problem.message = "this character cannot stand here";
    problem.tip = "put the text in quotes";
  } else if (what == YAML::ErrorMsg::MAP_VALUE || what == YAML::ErrorMsg::MAP_KEY) {
    problem.message = "no key can stand here";
    problem.tip = "check the indentation; a text that holds \": \" needs quotes";
  } else if (what == YAML::ErrorMsg::END_OF_SEQ || what == YAML::ErrorMsg::END_OF_MAP) {
    problem.message = "the list or mapping cannot go on like this";
    problem.tip = "check the indentation; a text that begins with [ or { needs quotes";
  } else if (what.find("flow") != std::string::npos) {
    problem.tip = "a bracket or brace is not closed, or text that holds one needs quotes";
  }
}

Failure Describe(std::string_view text, const YAML::ParserException& error) {
  Failure failure{{ToPos(error.mark), error.msg, ""}};
  size_t start = 0;
  const std::string_view line = LineAt(text, failure.problem.pos.line, start);
  const bool alias = error.msg == YAML::ErrorMsg::ALIAS_NOT_FOUND || error.msg == YAML::ErrorMsg::CHAR_IN_ALIAS ||
                     error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR;
  const size_t from = std::min(line.size(), static_cast<size_t>(std::max(failure.problem.pos.column - 1, 0)));
  const size_t star = alias && !line.empty() ? line.rfind('*', from) : std::string_view::npos;
  if (star != std::string_view::npos) {
    const std::string token(TokenAt(line, star));
    failure.problem.pos.column = static_cast<int>(star) + 1;
    failure.problem.message = "the unquoted " + token + " is an alias to YAML, and no such anchor exists";
    failure.problem.tip = "a pattern that begins with * needs quotes: \"" + token + "\"";
    failure.star = start + star;
  } else {
    Explain(error.msg, line, failure.problem);
  }
  return failure;
}

// One attempt. Nothing when it worked.
std::optional<Failure> Build(const std::string& text, YamlBuilder& builder) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Events events(builder);
    if (!parser.HandleNextDocument(events)) return std::nullopt;
    if (IsUnclosedQuote(text, events.last_quoted())) {
      return Failure{{events.last_quoted(), "the quote that begins here is not closed", "add the closing quote"}};
    }
    SourcePos second;
    NoEvents ignore(second);
    if (parser.HandleNextDocument(ignore)) {
      return Failure{
          {second, "a second document begins here", "a recipe is one document: delete the --- line and what follows"}};
    }
  } catch (const YamlStop& stop) {
    return Failure{stop.problem};
  } catch (const YAML::ParserException& error) {
    return Describe(text, error);
  } catch (const YAML::Exception& error) {
    return Failure{{ToPos(error.mark), error.msg, ""}};
  }
  return std::nullopt;
}

std::string MegabytesText(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

YamlNodePtr NullRoot() {
  auto node = std::make_shared<YamlNode>();
  node->pos = {1, 1};
  return node;
}

}  // namespace

const YamlEntry* YamlNode::Find(std::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key && entry.key_kind == YamlKind::kString) return &entry;
  }
  return nullptr;
}

YamlDocument ParseYaml(std::string_view text, const YamlLimits& limits) {
  YamlDocument document;
  if (text.size() > limits.bytes) {
    document.problems.push_back(
        {{1, 1}, "larger than " + MegabytesText(limits.bytes), "a recipe is a small file: check the path"});
    return document;
  }
  if (std::optional<YamlProblem> bad = FindBadText(text)) {
    document.problems.push_back(*bad);
    return document;
  }
  constexpr size_t kMaxReported = 20;
  std::string work(text);
  while (true) {
    YamlBuilder builder(limits);
    std::optional<Failure> failure = Build(work, builder);
    if (!failure) {
      if (document.problems.empty()) {
        document.root = builder.root() ? builder.root() : NullRoot();
        document.warnings = std::move(builder.warnings());
      }
      return document;
    }
    document.problems.push_back(failure->problem);
    if (failure->star == std::string_view::npos || document.problems.size() == kMaxReported) return document;
    work[failure->star] = '_';  // an ordinary character of the same width, to find the next mistake
  }
}

YamlNodePtr ParseYamlOrThrow(std::string_view text, const std::string& name, const YamlLimits& limits) {
  YamlDocument document = ParseYaml(text, limits);
  if (document.problems.empty()) return document.root;
  const YamlProblem& problem = document.problems.front();
  throw Error(
      ErrorCode::kSchema,
      name + ":" + std::to_string(problem.pos.line) + ":" + std::to_string(problem.pos.column) + ": " + problem.message,
      problem.tip);
}

}  // namespace modelslim
