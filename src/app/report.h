// `modelslim report` as a function: one HTML file about an output, which opens without a network.
#pragma once

#include <string>

#include "base/file.h"

namespace modelslim {

struct ReportArguments {
  fs::path output;      // of a run
  fs::path evaluation;  // what `modelslim eval --json` printed; may be empty
  fs::path file;        // to write; empty: kReportFile in the output
};
inline constexpr const char* kReportFile = "quant_model_report.html";

// Writes the page and returns its path. What a ledger of somebody else holds in the place of names and numbers is left
// out; nothing of it becomes markup. Throws Error for a directory that holds no output, and a ledger that is no JSON.
fs::path WriteReport(const ReportArguments& arguments);

}  // namespace modelslim
