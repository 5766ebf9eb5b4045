// YAML 1.1 resolution of plain scalars, as PyYAML's SafeLoader does it.
#pragma once

#include <string_view>

#include "io/yaml.h"

namespace modelslim {

// Sets kind and value of `node` from its plain text: booleans (yes/no/on/off too), null forms, integers (octal 010, 0x,
// 0b, base 60, underscores), floats (a dot is needed, and a signed exponent), else a string. Dates stay strings.
void ResolvePlainScalar(YamlNode& node);

// For explicit tags: "int", "float", "bool", "null", "str". False when the text does not have that form.
bool ResolveTaggedScalar(std::string_view tag, YamlNode& node);

}  // namespace modelslim
