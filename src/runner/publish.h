// The last step of a run: the small files are written around the weights, all are read back, and get their names.
#pragma once

#include <string>

#include "plan/plan.h"
#include "runner/output_writer.h"

namespace modelslim {

struct RunReport;
struct RunOptions;

// Writes the model's files, index, ledger and description beside their names, makes sure that the source is still the
// one that was read, and asks options.check. Only then anything gets its name: what an earlier output of ours left is
// removed (first what made it complete, so that nothing half-replaced looks so), the new file of that name comes last.
void PublishOutput(const RunPlan& plan, const RunOptions& options, const RunReport& report, OutputWriter& writer);

// Removes unpublished weight files and indexes other than the shards of the plan: what a run of other settings left.
void RemoveUnfinished(const fs::path& save_path, const RunPlan& plan);

}  // namespace modelslim
