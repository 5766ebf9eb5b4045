// What the commands `quant`, `plan` and `verify` do, as functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "modelslim/error.h"

namespace modelslim {

struct QuantizeOptions {
  std::string model_type;            // "Qwen3-8B"; empty: by config.json
  std::filesystem::path model_path;  // the checkpoint, never written to
  std::filesystem::path save_path;   // the output; created where absent; not needed for a plan
  std::filesystem::path recipe;      // a YAML file; or
  std::string quant_type;            // "w8a8": the best practice for it
  int threads = 0;                   // 0: all that are available
  uint64_t memory_limit = 0;         // bytes; 0: 80 % of what the machine or its cgroup offers
  bool fresh = false;                // forget an interrupted run instead of going on with it
  bool verify = true;                // read the output back
  std::vector<std::string> drop;     // patterns of source tensors that the output may lack; see docs/sources.md
};

// Plans, quantizes, verifies; plan and summary go to `log`. Throws Error. One call at a time in a process: the compute
// threads are shared.
void QuantizeCheckpoint(const QuantizeOptions& options, std::ostream& log);

// The plan as JSON text. Reads no weights and writes nothing.
std::string PlanCheckpoint(const QuantizeOptions& options);

// Reads an output back. Returns what is wrong with it, one sentence each; empty when all is well.
std::vector<std::string> VerifyCheckpoint(const std::filesystem::path& output);

}  // namespace modelslim
