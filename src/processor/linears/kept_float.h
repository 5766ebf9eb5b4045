// Linears that stay float by default: nobody means a router by "*".
#pragma once

#include "config/patterns/pattern_list.h"
#include "model/layout.h"

namespace modelslim {

// Whether an entry with this selection takes the Linear: it selects the name and, where the Linear stays float by
// default, one of the include patterns that match contains the word of that default.
bool TakesLinear(const Selection& selection, const ModuleInfo& module);

}  // namespace modelslim
