// The functions of include/modelslim/quantize.h.
#include <sstream>
#include <utility>

#include "app/quant.h"
#include "app/verify.h"
#include "modelslim/quantize.h"

namespace modelslim {
namespace {

JobArguments ArgumentsOf(const QuantizeOptions& options) {
  JobArguments arguments;
  arguments.model_type = options.model_type;
  arguments.model_path = options.model_path;
  arguments.save_path = options.save_path;
  arguments.config_path = options.recipe;
  arguments.quant_type = options.quant_type;
  arguments.threads = options.threads;
  if (options.memory_limit > 0) arguments.memory = std::to_string(options.memory_limit);
  arguments.fresh = options.fresh;
  arguments.verify = options.verify;
  arguments.drop = options.drop;
  return arguments;
}

}  // namespace

void QuantizeCheckpoint(const QuantizeOptions& options, std::ostream& log) { Quantize(ArgumentsOf(options), log); }

std::string PlanCheckpoint(const QuantizeOptions& options) {
  std::ostringstream out;
  ShowPlan(ArgumentsOf(options), /*tensors=*/true, /*json=*/true, out);
  return std::move(out).str();
}

std::vector<std::string> VerifyCheckpoint(const std::filesystem::path& output) { return VerifyOutput(output).problems; }

}  // namespace modelslim
