// Dotted names of modules and tensors, part by part.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

bool IsNumber(std::string_view part);  // digits only

// "model.layers.3" -> {"model", "layers", "3"}. The views lie in `name`.
std::vector<std::string_view> PartsOf(std::string_view name);

// The name with a star for every number: "model.layers.*.mlp.experts.*.up_proj".
std::string PatternOf(std::string_view name);

// Whether whole parts of `name` are those of `parts` ("mlp.gate"): somewhere, or at its end.
bool HasParts(std::string_view name, std::string_view parts);
bool EndsWithParts(std::string_view name, std::string_view parts);

// Numbers in names compare as numbers, layer 2 before layer 10, and come before words.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace modelslim
