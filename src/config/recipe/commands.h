// The configuration commands as functions: what `recipe check`, `recipe explain`, `processors` and `practices` print.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "config/practices/practice.h"

namespace modelslim {

// Checks every file. One line per file on `out` ("FILE: ok" with what it is, or the number of mistakes), the mistakes
// on `err`. Returns the exit status: 0 when no file has an error (warnings allowed), else 1.
int RecipeCheck(const std::vector<std::string>& files, std::ostream& out, std::ostream& err);

// Every effective value of a recipe with its origin (file:line:column or "default"). Returns 0, or 1 after mistakes.
int RecipeExplain(const std::string& file, std::ostream& out, std::ostream& err);

// The processors and savers with their fields. `runs` tells which types this program can run; empty: nothing is said
// about that.
using RunsType = std::function<bool(std::string_view)>;
void ListProcessors(std::ostream& out, bool json, const RunsType& runs = {});

// The practices of a repository, in look-up order per pedigree.
void ListPractices(const PracticeRepository& repository, std::ostream& out, bool json);
// How a choice came about: what was chosen, what was passed over and why.
void ExplainChoice(const PracticeChoice& choice, std::ostream& out, bool json);

// The reference pages in Markdown: DIR/en/*.md and DIR/zh/*.md. Writes a file only when its text changes. Returns the
// names of the files that were (with `write`) or would be changed.
std::vector<std::string> WriteReferencePages(const fs::path& directory, bool write = true);

// A JSON Schema (draft 2020-12) of recipes, for editors.
void WriteJsonSchema(std::ostream& out);

}  // namespace modelslim
