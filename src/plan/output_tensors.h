// From decisions about modules to the tensors of the output.
#pragma once

#include <vector>

#include "format/format.h"
#include "format/layout.h"
#include "model/layout.h"
#include "processor/model_plan.h"

namespace modelslim {

// In write order: blocks as they are processed, modules in pre-order of the module tree, then what is outside of the
// blocks.
std::vector<OutputTensor> TensorsOf(const ModelLayout& layout, const Decisions& decisions, const Format& format);

// The model as a whole. `decisions` must outlive it.
WrittenModel WrittenOf(const ModelLayout& layout, const Decisions& decisions);

// The Linear as the format sees it.
PlannedLinear PlannedOf(const ModuleInfo& module, const LinearDecision& decision);

}  // namespace modelslim
