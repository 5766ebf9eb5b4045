// From YAML scalars to the types of fields, with the tolerance of the reference (msModelSlim 26.1.0): texts that look
// like numbers are numbers wherever a number is expected, since YAML 1.1 reads 1e-5 as a text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/schema/schema.h"

namespace modelslim {

// Each reports a mistake to `reader` and returns nothing.
std::optional<bool> ReadBool(Reader& reader, const YamlNode& node);
std::optional<int64_t> ReadInt(Reader& reader, const YamlNode& node, const NumberRule& rule);
std::optional<double> ReadFloat(Reader& reader, const YamlNode& node, const NumberRule& rule);
std::optional<std::string> ReadString(Reader& reader, const YamlNode& node, const FieldSpec& field);

// Shortest text that reads back as the same number, with a dot or exponent only when needed.
std::string NumberText(double value);

// "an integer >= 0", "a list of strings", "one of a, b or c" for messages and pages.
std::string TypeText(const FieldSpec& field);

}  // namespace modelslim
