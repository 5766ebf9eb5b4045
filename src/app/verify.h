// Reads an output back and checks it as a loader would depend on it.
#pragma once

#include <cstdint>
#include <optional>
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

struct VerifyOptions {
  // The model that the output was made from; weights that no rewriting step touched are dequantized and compared with
  // it. May be empty.
  fs::path source;
  std::optional<bool> stacks_transposed = std::nullopt;  // see NamesOptions
  bool published = true;                                 // false: every file still lies under Unpublished() of its name
  bool checksums = true;  // false: without the ledger, for outputs that another program wrote
};

// Description, index, shards, ledger and small files against one another: every layer has exactly the tensors of its
// type, in their dtypes and shapes; scales finite and positive, offsets integral and in range, everything else finite
// (a warning: such tensors are copies of the source's); what the description says beside the tensors; every byte by its
// checksum; config.json and tokenizer there and readable.
VerifyReport VerifyOutput(const fs::path& directory, const VerifyOptions& options = {});

// "all well", or how many problems or warnings there are.
std::string VerifySummary(const VerifyReport& report);

void PrintVerify(const VerifyReport& report, const fs::path& directory, std::ostream& out);

}  // namespace modelslim
