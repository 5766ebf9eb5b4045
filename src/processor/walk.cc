#include "processor/walk.h"

namespace modelslim {

const Processor* LastWithData(const std::vector<std::unique_ptr<Processor>>& steps) {
  const Processor* last = nullptr;
  for (const auto& step : steps) {
    if (step->NeedsData()) last = step.get();
  }
  return last;
}

void WalkBlock(const std::vector<std::unique_ptr<Processor>>& steps, Block& block, RunState& state, bool has_next,
               const SendSamples& send) {
  const Processor* const last = LastWithData(steps);
  for (const auto& step : steps) {
    const bool hands_on = has_next && step.get() == last;
    step->Preprocess(block, state);
    if (step->NeedsData()) send(*step, hands_on && !step->ForwardsAgain());
    step->Postprocess(block, state);
    if (step->ForwardsAgain()) send(*step, hands_on);
  }
}

}  // namespace modelslim
