// From --quant_type to a recipe file.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "model/family.h"

namespace modelslim {

// The best verified practice for a model type and a quantization type ("" means w8a8). Where none fits, asks on a terminal
// whether to go on with the default; without a terminal (and without `assume_yes`) throws Error(kUnsupported).
fs::path ChoosePractice(const FamilyEntry& entry, const std::string& model_type, const std::string& quant_type,
                        const std::vector<std::string>& tags, bool assume_yes);

}  // namespace modelslim
