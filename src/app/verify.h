// Reads an output back and checks it as a loader would depend on it.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

struct VerifyReport {
  int64_t tensors = 0;
  uint64_t bytes = 0;
  double seconds = 0;
  std::vector<std::string> warnings;  // what stands there as it was written, and yet cannot be meant
  std::vector<std::string> problems;  // each names the tensor or file, what was expected and what was found
  // With a source: the worst relative error of a dequantized weight against the source's.
  struct Error {
    std::string name, type;
    double relative = 0;
  };
  std::vector<Error> errors;         // of every quantized Linear, largest first
  std::vector<std::string> remarks;  // for a server: what it loads, and does not use or loses by
  std::vector<std::string> losses;   // with a source: what of it the output does not hold, in words
};

// Description, index and shards against one another; dtypes and shapes of every quantized type; scales finite and
// positive, offsets integral and in range, everything else finite (a warning: such tensors are copies of the source's).
// `source` (may be empty): the model the output was made from; weights that no rewriting step touched are dequantized
// and compared with it.
VerifyReport VerifyOutput(const fs::path& directory, const fs::path& source = {});

// "all well", or how many problems or warnings there are.
std::string VerifySummary(const VerifyReport& report);

void PrintVerify(const VerifyReport& report, const fs::path& directory, std::ostream& out);

}  // namespace modelslim
