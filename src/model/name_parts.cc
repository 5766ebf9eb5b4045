#include "model/name_parts.h"

#include <algorithm>

namespace modelslim {

bool IsNumber(std::string_view part) {
  return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
}

std::vector<std::string_view> PartsOf(std::string_view name) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', begin)) {
    parts.push_back(name.substr(begin, dot - begin));
    begin = dot + 1;
  }
  parts.push_back(name.substr(begin));
  return parts;
}

std::string PatternOf(std::string_view name) {
  std::string pattern;
  for (const std::string_view part : PartsOf(name)) {
    if (!pattern.empty()) pattern += '.';
    pattern += IsNumber(part) ? "*" : part;
  }
  return pattern;
}

bool HasParts(std::string_view name, std::string_view parts) {
  for (size_t at = name.find(parts); at != std::string_view::npos; at = name.find(parts, at + 1)) {
    const size_t end = at + parts.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

bool EndsWithParts(std::string_view name, std::string_view parts) {
  return name.ends_with(parts) && (name.size() == parts.size() || name[name.size() - parts.size() - 1] == '.');
}

bool NaturalLess(std::string_view a, std::string_view b) {
  const std::vector<std::string_view> one = PartsOf(a), other = PartsOf(b);
  return std::lexicographical_compare(one.begin(), one.end(), other.begin(), other.end(),
                                      [](std::string_view x, std::string_view y) {
                                        const bool number = IsNumber(x), other_number = IsNumber(y);
                                        if (number != other_number) return number;
                                        return number && x.size() != y.size() ? x.size() < y.size() : x < y;
                                      });
}

}  // namespace modelslim
