// ascendV1: the layout that vLLM-Ascend, MindIE and SGLang load. Forms of msModelSlim 26.1.0; Compat hold every
// point where December 2025 differs, and what is ours.
#pragma once

#include <memory>

#include "format/format.h"

namespace modelslim {

std::unique_ptr<Format> MakeAscendV1(const Compat& options);
// The same in the forms of modelslim_v0.
std::unique_ptr<Format> MakeAscendV0(const Compat& options);

// Null when there is no such output in the directory.
std::unique_ptr<SavedOutput> OpenAscendV1(const fs::path& directory, bool published);

}  // namespace modelslim
