// Hands the modules of a finished block to the writer, in the form that was planned for them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/block.h"
#include "plan/plan.h"
#include "runner/output_writer.h"

namespace modelslim {

// What was done to a tensor and how well; goes into the ledger.
struct LedgerEntry {
  std::string name;  // of the Linear
  std::string type;  // "W8A8"
  std::string by;    // "spec.process[1]"
  double weight_error =
      0;  // relative Frobenius error of the dequantized weight against the float one that was quantized
  double max_abs_error = 0;
  double clipped_share = 0;
  double scale_min = 0, scale_max = 0;
  double input_scale = 0, input_offset = 0;  // static types
  bool has_input = false;
};

struct SaveOptions {
  bool measure_errors = true;  // compares every quantized weight with the float one (reads it once more)
  bool writes = true;
};

// Writes every module of `info` (a block, or what is outside of the blocks). Memory of a module is given back as soon
// as it is queued. Appends to `ledger`.
void SaveModules(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention,
                 const RunPlan& plan, const WeightSource& source, const SaveOptions& options, ExtraValues& extras,
                 OutputWriter* writer, std::vector<LedgerEntry>* ledger);

}  // namespace modelslim
