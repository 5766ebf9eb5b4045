#include "processor/linear_result.h"

#include <utility>

namespace modelslim {

void CheckScales(const QuantizedWeight& weight, const std::string& name) {
  const int64_t row = HasBadScale(weight);
  if (row < 0) return;
  throw Error(ErrorCode::kInvalidModel,
              name + ": row " + std::to_string(row) + " holds NaN, infinity, or values too large to scale",
              "check the source checkpoint (its file may be damaged), or exclude this layer");
}

const QuantizedWeight& LinearResult::Weight(LinearModule& module) {
  if (!weight_) {
    weight_ = QuantizeWeight(module.weight().Get(), spec);
    CheckScales(*weight_, module.weight().name());
  }
  return *weight_;
}

QuantizedWeight LinearResult::TakeWeight() {
  MODELSLIM_CHECK(weight_.has_value());
  return *std::exchange(weight_, std::nullopt);
}

LinearResult* QuantizedResult(LinearModule& module) { return dynamic_cast<LinearResult*>(module.result().get()); }

}  // namespace modelslim
