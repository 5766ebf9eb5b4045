// What is wrong with a recipe, where, and what to do about it.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/source_pos.h"

namespace modelslim {

enum class Severity { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  ErrorCode code = ErrorCode::kSchema;
  std::string file;
  SourcePos pos;           // unknown when the whole file is meant
  std::string yaml_path;   // "spec.process[0].qconfig.act.symmetric"; empty for the document
  std::string message;     // the mistake in one sentence, without place
  std::string expected;    // may be empty
  std::string found;       // may be empty
  std::string suggestion;  // nearest valid spelling, may be empty
  std::string tip;         // next step, may be empty
};

// "file:line:col: error 203: spec.x: message; expected E, found F; did you mean S?" in one line.
std::string DiagnosticLine(const Diagnostic& diagnostic);
// The line above, then the source line with a caret under the place (when `source` has it), then the tip.
std::string RenderDiagnostic(const Diagnostic& diagnostic, std::string_view source);
// The same, in colours where `out` is a terminal.
void PrintDiagnostic(const Diagnostic& diagnostic, std::string_view source, std::ostream& out);

// All mistakes of one file, in the order of their places.
class Diagnostics {
 public:
  void Add(Diagnostic diagnostic) { items_.push_back(std::move(diagnostic)); }
  // Sorts by place; errors before warnings at the same place. Keeps the order otherwise.
  void Sort();

  const std::vector<Diagnostic>& items() const { return items_; }
  size_t error_count() const;
  size_t warning_count() const { return items_.size() - error_count(); }
  bool HasErrors() const { return error_count() > 0; }
  // Throws Error with the first error's code and the text of all errors, when there are any.
  void ThrowIfErrors() const;

 private:
  std::vector<Diagnostic> items_;
};

// The member of `words` nearest to `word` by edit distance, when it is near enough to be a slip; else "".
std::string NearestWord(std::string_view word, const std::vector<std::string>& words);

}  // namespace modelslim
