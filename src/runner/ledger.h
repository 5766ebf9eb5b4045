// What was done to every tensor and how well: kept per unit in the journal, written as a whole beside the output.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/float_share.h"

namespace modelslim {

struct LedgerEntry {
  std::string name;  // of the Linear
  std::string type;  // "W8A8"
  std::string by;    // "spec.process[1]"
  // Of the dequantized weight against the float one that was quantized: relative Frobenius norm, largest difference.
  double weight_error = 0;
  double max_abs_error = 0;
  double clipped_share = 0;
  double scale_min = 0, scale_max = 0;
  // Of the deployed layer against the float one on sampled calibration rows, relative Frobenius norm; only where a
  // forward pass ran while the layer was calibrated.
  std::optional<double> output_error;
  struct Input {
    double scale = 0, offset = 0;
  };
  std::optional<Input> input;  // static types
  std::string range_from;      // "pool" or "all-tokens": an expert that no calibration token chose
};

// How many calibration tokens chose each expert of a layer.
struct ExpertCoverage {
  std::string experts;  // "model.layers.3.mlp.experts"
  std::vector<int64_t> tokens;

  std::vector<int64_t> Idle() const;  // experts that none chose
};

// A tensor of the output that is not finite everywhere: it stands in the source so, and was copied as it is.
struct NotFiniteTensor {
  std::string name;   // "model.norm.weight"
  std::string value;  // the first such element: "NaN", "infinity" or "-infinity"
  int64_t index = 0;  // where that is, in row-major order
};

// What is known about a finished unit (a block, or what is outside of all blocks).
struct UnitFacts {
  std::vector<LedgerEntry> tensors;
  std::vector<ExpertCoverage> experts;
  std::vector<NotFiniteTensor> not_finite;
  std::string idle_experts;  // how idle experts were handled; empty when none had to be
};

// As JSON text for the journal, and back; nothing for text that is none of ours.
std::string FactsText(const UnitFacts& facts);
std::optional<UnitFacts> ParseFacts(const std::string& text);

// XXH3-128 by name: of the bytes of every tensor, and of every other file of the output.
struct LedgerHashes {
  std::map<std::string, std::string> tensors, files;
};

// The document beside the output.
std::string LedgerDocument(const UnitFacts& all, const FloatShare& floats, const LedgerHashes& hashes);

// Appends the facts of one unit to those of a run.
void Append(UnitFacts facts, UnitFacts* all);

inline constexpr const char* kLedgerFile = "quant_model_ledger.json";

}  // namespace modelslim
