// Names of Unicode properties.
#pragma once

#include <string>
#include <string_view>

namespace modelslim {

// What PCRE2 calls a property that Oniguruma's \p{} names: a category in one or two letters or written out, a binary
// property, else a script. Case, blanks, '_' and '-' do not matter.
std::string PcreProperty(std::string_view name);

}  // namespace modelslim
