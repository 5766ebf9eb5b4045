// Python's fnmatch: the patterns of `analyze` and of mix_cfg in modelslim_v0. Unlike the patterns of recipes
// (config/patterns/pattern.h) they have no braces, no escapes and no POSIX classes, and wildcards match a leading dot.
//
//   *  any characters    ?  one character    [abc] [a-z] [!abc]  a set; a [ that is never closed is literal
//
// A character is a byte, the whole name must match, and case counts.
#pragma once

#include <string_view>

namespace modelslim {

bool FnMatch(std::string_view pattern, std::string_view name);

}  // namespace modelslim
