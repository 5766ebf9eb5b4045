// Hands the modules of a finished block to the writer, in the form that was planned for them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/block.h"
#include "plan/plan.h"
#include "runner/ledger.h"
#include "runner/output_writer.h"

namespace modelslim {

// A float tensor whose values are made while they are read, row by row, is handed over in pieces of about this size.
inline constexpr uint64_t kPieceBytes = uint64_t{8} << 20;

struct SaveOptions {
  bool measure_errors = true;  // compares every quantized weight with the float one (reads it once more)
  bool writes = true;
};

// Writes every module of `info` (a block, or what is outside of the blocks). Memory of a module is given back as soon
// as it is queued. Appends to the tensors of `facts`.
void SaveModules(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention,
                 const RunPlan& plan, const WeightSource& source, const SaveOptions& options, Facts& found,
                 OutputWriter* writer, UnitFacts* facts);

}  // namespace modelslim
