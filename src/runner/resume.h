// Whether a run can go on where an earlier one was cut off.
#pragma once

#include <string>
#include <vector>

#include "format/layout.h"
#include "runner/journal.h"

namespace modelslim {

// Compares what the journal of an earlier run says with the layout and with the bytes on the disk: units in order and
// within the model's `units`, exactly their tensors, shards of the planned size with the planned header, every finished
// tensor with its checksum (all of them are read). Returns what does not fit, or nothing.
std::string WhyNotResumed(const OutputLayout& layout, const fs::path& save_path,
                          const std::vector<JournalUnit>& finished, int units);

// Where a shard of an unfinished output is: beside its name, or, where an earlier run was cut off while it published,
// under it. Empty when it is neither.
fs::path FindUnfinishedShard(const fs::path& save_path, const OutputShard& shard);

}  // namespace modelslim
