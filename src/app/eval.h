// `modelslim eval` as a function: what was written, measured as a server computes it.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

struct EvalArguments {
  fs::path output;                     // of a run, or a float checkpoint
  fs::path reference;                  // the float checkpoint that it was made of; may be empty
  std::string data = "heldout.jsonl";  // a path, or a name from lab_eval
  std::vector<std::string> text_keys;
  int64_t windows = 24;  // 0: all that the texts give
  int64_t window = 512;
  bool layers = false;
  bool decode = false;  // types with two halves as in decode, not as in prefill
  std::string memory;   // "1GiB"; empty: 1 GiB, or what is needed
  int threads = 0;
  fs::path work;  // an interrupted evaluation goes on from there; empty: none does
  bool json = false;
};

// Prints the report. Throws Error or Stopped.
void EvaluateOutput(const EvalArguments& arguments, std::ostream& out);

}  // namespace modelslim
