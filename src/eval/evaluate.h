// How well a model predicts a text, and how far it is from another model of which it was made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/batch.h"
#include "eval/layer_errors.h"
#include "eval/stream.h"
#include "eval/token_scores.h"

namespace modelslim {

struct EvalReport {
  ScoreSummary scores;
  std::vector<LayerError> layers;
  std::string no_layers;  // why there are none, though they were asked for
  bool resumed = false;
};

struct EvalOptions {
  uint64_t memory_limit = 0;  // bytes of anonymous memory; 0: 80 % of what the machine offers
  bool layers = false;        // with a reference only
  fs::path directory;         // where an interrupted evaluation goes on; empty: nothing is kept
  std::string identity;       // of everything that decides about results, for the same
};

// `windows`: samples of one length, at least two tokens. All but the first token of each are predicted. `reference` may
// be null. Results depend on neither threads nor memory. Throws Error(kInvalidModel) where what is computed is NaN or
// infinite, Error(kMisuse) when memory does not suffice, Stopped on request.
EvalReport Evaluate(const EvalModel& model, const EvalModel* reference, const TokenBatch& windows,
                    const EvalOptions& options);

}  // namespace modelslim
