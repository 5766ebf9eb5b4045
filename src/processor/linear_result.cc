#include "processor/linear_result.h"

#include <utility>

namespace modelslim {

const QuantizedWeight& LinearResult::Weight(LinearModule& module) {
  if (!weight_) {
    weight_ = QuantizeWeight(module.weight().Get(), spec);
    if (const int64_t row = HasBadScale(*weight_); row >= 0) {
      throw Error(ErrorCode::kInvalidModel,
                  module.weight().name() + ": row " + std::to_string(row) + " holds NaN, infinity, or values too large to scale",
                  "check the source checkpoint (its file may be damaged), or exclude this layer");
    }
  }
  return *weight_;
}

QuantizedWeight LinearResult::TakeWeight() {
  MODELSLIM_CHECK(weight_.has_value());
  return *std::exchange(weight_, std::nullopt);
}

LinearResult* QuantizedResult(LinearModule& module) { return dynamic_cast<LinearResult*>(module.result().get()); }

}  // namespace modelslim
