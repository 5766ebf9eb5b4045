// `recipe convert`: a modelslim_v0 recipe as one of modelslim_v1.
#pragma once

#include <iosfwd>
#include <string>

namespace modelslim {

// Prints the YAML text. Throws Error with the mistakes of the recipe, Error(kUnsupported) naming what has no
// equivalent.
void ConvertRecipe(const std::string& file, std::ostream& out);

}  // namespace modelslim
