#include "config/patterns/pattern_list.h"

namespace modelslim {

void PatternList::Add(std::string_view text, SourcePos at) {
  items.push_back({std::string(text), at, std::make_shared<const CompiledPattern>(text)});
}

bool PatternList::Matches(std::string_view name) const {
  if (items.empty()) return when_empty == EmptyList::kEverything;
  for (const Pattern& pattern : items) {
    if (pattern.compiled->Matches(name)) return true;
  }
  return false;
}

std::vector<size_t> PatternList::MatchingPatterns(std::string_view name) const {
  std::vector<size_t> matching;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].compiled->Matches(name)) matching.push_back(i);
  }
  return matching;
}

Selection Selection::All(EmptyList when_include_empty) {
  Selection selection;
  selection.include.when_empty = when_include_empty;
  if (when_include_empty == EmptyList::kNothing) selection.include.Add("*");
  return selection;
}

}  // namespace modelslim
