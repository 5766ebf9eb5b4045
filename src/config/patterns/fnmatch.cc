#include "config/patterns/fnmatch.h"

namespace modelslim {
namespace {

constexpr size_t kNone = std::string_view::npos;

// Where the set that opens at pattern[at] is closed; kNone: never. A ] right after the opening belongs to the set.
size_t SetEnd(std::string_view pattern, size_t at) {
  size_t i = at + 1;
  if (i < pattern.size() && pattern[i] == '!') ++i;
  if (i < pattern.size() && pattern[i] == ']') ++i;
  return pattern.find(']', i);
}

bool SetHas(std::string_view set, char c) {
  const bool negated = !set.empty() && set.front() == '!';
  if (negated) set.remove_prefix(1);
  const auto value = static_cast<unsigned char>(c);
  bool found = false;
  for (size_t i = 0; i < set.size();) {
    const auto low = static_cast<unsigned char>(set[i]);
    if (i + 2 < set.size() && set[i + 1] == '-') {
      found = found || (low <= value && value <= static_cast<unsigned char>(set[i + 2]));
      i += 3;
    } else {
      found = found || low == value;
      ++i;
    }
  }
  return found != negated;
}

// Matches one character by what stands at pattern[at], which is no star. Returns where the pattern goes on; kNone: no
// match.
size_t StepOver(std::string_view pattern, size_t at, char c) {
  if (pattern[at] == '?') return at + 1;
  if (pattern[at] == '[') {
    const size_t end = SetEnd(pattern, at);
    if (end != kNone) return SetHas(pattern.substr(at + 1, end - at - 1), c) ? end + 1 : kNone;
  }
  return pattern[at] == c ? at + 1 : kNone;
}

}  // namespace

bool FnMatch(std::string_view pattern, std::string_view name) {
  // Only the last star need be reconsidered, so the time is at most the product of the lengths.
  size_t p = 0, n = 0, star = kNone, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
      continue;
    }
    const size_t next = p < pattern.size() ? StepOver(pattern, p, name[n]) : kNone;
    if (next != kNone) {
      p = next;
      ++n;
    } else if (star != kNone) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace modelslim
