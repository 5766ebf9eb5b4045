// Checks on the text of a YAML file before a parser sees it, and how a scalar is written back.
#pragma once

#include <optional>
#include <string_view>

#include "io/yaml.h"

namespace modelslim {

// Invalid UTF-8, or a character that YAML does not allow (control characters), with its place.
std::optional<YamlProblem> FindBadText(std::string_view text);

}  // namespace modelslim
