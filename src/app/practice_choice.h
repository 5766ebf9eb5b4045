// From --quant_type to a recipe file.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "config/practices/practice.h"
#include "model/family.h"

namespace modelslim {

// Where practices are looked for: $MSMODELSLIM_CUSTOM_PRACTICE_REPO, then what ships with the program.
std::vector<fs::path> PracticeDirectories();

PracticeQuery QueryFor(const FamilyEntry& entry, const std::string& model_type, const std::string& quant_type,
                       const std::vector<std::string>& tags);

// The file of the best verified practice. Where none fits, asks on a terminal whether to go on with a fall-back;
// without a terminal (and without `assume_yes`) throws Error(kUnsupported).
fs::path ChoosePracticeFile(const PracticeQuery& query, bool assume_yes);

}  // namespace modelslim
