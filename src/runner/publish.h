// The last step of a run: files get their names, and the small ones are written around them.
#pragma once

#include <string>

#include "plan/plan.h"
#include "runner/output_writer.h"

namespace modelslim {

struct RunReport;

// Removes what an earlier output of ours left (old weight files, its description first, so that nothing half-replaced
// looks complete), names the shards, copies the model's files, writes index, ledger and, last, the description.
void PublishOutput(const RunPlan& plan, const fs::path& model_path, const fs::path& save_path, const RunReport& report,
                   OutputWriter& writer);

inline constexpr const char* kDescriptionFile = "quant_model_description.json";

}  // namespace modelslim
