// The rules between the values of a modelslim_v0 spec, and the type they lead to.
#pragma once

#include "config/recipe/recipe.h"
#include "config/schema/schema.h"

namespace modelslim {

void CheckV0Anti(Reader& reader, const YamlNode& node, V0AntiConfig& config);
void CheckV0Calib(Reader& reader, const YamlNode& node, V0CalibConfig& config);
void CheckV0Spec(Reader& reader, const YamlNode& node, V0Spec& spec);

}  // namespace modelslim
