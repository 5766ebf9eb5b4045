// What a plan makes of a model that is known by the names of its tensors only: every group of names is shown, since no
// family vouches for them.
#pragma once

#include <ostream>

#include "io/json.h"
#include "plan/plan.h"

namespace modelslim {

// A line for each group of tensors whose names differ in numbers only: what becomes of them, how many, their shape and
// bytes in the source, and why a Linear stays float. Nothing for models that are computed.
void PrintNames(const RunPlan& plan, std::ostream& out);
Json NamesJson(const RunPlan& plan);

// The bytes of weights that stay as they are, of all, in percent.
double FloatPercent(const RunPlan& plan);

}  // namespace modelslim
