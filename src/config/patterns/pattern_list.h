// The include and exclude lists of a recipe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/patterns/pattern.h"
#include "io/source_pos.h"

namespace modelslim {

// What a list selects when it has no pattern. Processors differ (see the reference pages).
enum class EmptyList { kNothing, kEverything };

struct Pattern {
  std::string text;
  SourcePos pos;
  std::shared_ptr<const CompiledPattern> compiled;  // never null in a parsed recipe
};

struct PatternList {
  std::vector<Pattern> items;
  bool given = false;  // the key was written, even as [] or null
  SourcePos pos;       // of the list
  EmptyList when_empty = EmptyList::kNothing;

  // Appends and compiles. Throws Error(kSchema) for a pattern that expands to more than 1000 alternatives.
  void Add(std::string_view text, SourcePos at = {});
  // Whether some pattern matches the full dotted module name, or the list is empty and that means everything.
  bool Matches(std::string_view name) const;
  // Indices of every matching pattern, for reports about unused and shadowed ones.
  std::vector<size_t> MatchingPatterns(std::string_view name) const;
};

// A module is handled when an include matches and no exclude does; exclude always wins.
struct Selection {
  PatternList include;
  PatternList exclude;
  // Instead of both lists: exactly these modules. No recipe has it; what a recipe of another service comes down to
  // does.
  std::optional<std::set<std::string, std::less<>>> names;

  bool Selects(std::string_view name) const {
    return names ? names->contains(name) : include.Matches(name) && !exclude.Matches(name);
  }
  // The selections of processors that treat a missing list as "everything" or as ["*"] are both built so.
  static Selection All(EmptyList when_include_empty);
};

}  // namespace modelslim
