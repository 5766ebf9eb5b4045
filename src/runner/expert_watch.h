// Which experts the calibration tokens of one pass through a block reach, and a pass for those that none reaches.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/family.h"
#include "processor/observing/part_output.h"
#include "runner/ledger.h"

namespace modelslim {

class ExpertWatch : public ExpertObserver {
 public:
  // `keeps_inputs`: what the experts read goes to scratch files, for FeedIdle().
  ExpertWatch(const Family& family, fs::path scratch, bool keeps_inputs)
      : family_(family), scratch_(std::move(scratch)), keeps_inputs_(keeps_inputs) {}

  void Observe(const std::string& experts, std::span<const int64_t> tokens, const ConstView& x,
               const RowGroups& groups) override;

  // Sends all tokens through the experts that none has chosen, so that whatever observes or calibrates there sees them;
  // what comes out is dropped. Adds their names to `fed`.
  void FeedIdle(Block& block, Keep keep, std::set<std::string, std::less<>>* fed);

  // One entry per layer of experts, in order of appearance.
  std::vector<ExpertCoverage> Coverage() const;

 private:
  struct Layer {
    ExpertCoverage coverage;
    std::unique_ptr<InputTape> inputs;
  };

  const Family& family_;
  fs::path scratch_;
  bool keeps_inputs_;
  std::vector<Layer> layers_;
};

}  // namespace modelslim
