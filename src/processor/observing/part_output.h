// How much the output of one module changes when its weights do: the module is run again over the calibration tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/family.h"
#include "processor/observing/input_tape.h"
#include "processor/observing/token_store.h"
#include "processor/processor.h"

namespace modelslim {

// The deepest module that holds all `names` (full names of Linears): their common prefix, or the one name itself.
std::string CommonModule(const std::vector<std::string>& names);

// The output of a Linear or of one of Family::Parts(). Nothing may observe the Linears inside while it runs, and none
// may be calibrating: the tape would be counted as data.
class PartOutput {
 public:
  // Runs `part` with its present weights. `input` must hold what entered it and outlive this.
  PartOutput(Block& block, RunState& state, std::string part, InputTape& input);

  // Runs it with the weights of now: mean over all elements of the squared change, summed row by row in f64, so that it
  // depends on neither threads nor chunks.
  double MeanSquaredChange();

 private:
  Tensor Run(const InputTape::Chunk& chunk);

  Block& block_;
  const Family& family_;
  std::string part_;
  InputTape& input_;
  Keep keep_;
  std::unique_ptr<TokenStore> original_;
};

}  // namespace modelslim
