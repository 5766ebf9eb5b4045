// Text of unknown origin (tensor names, keys) as part of a message: quoted, printable, not too long.
#pragma once

#include <string>
#include <string_view>

#include "base/printable.h"

namespace modelslim {

// 'model.norm.weight'. What is not printable is escaped, newlines too; beyond 160 bytes the middle is left out.
std::string Quote(std::string_view text);

}  // namespace modelslim
