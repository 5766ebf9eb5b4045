#include "processor/linears/linear_result.h"

#include <utility>

#include "processor/observing/output_error.h"

namespace modelslim {

void CheckScales(const QuantizedWeight& weight, const std::string& name) {
  const int64_t row = HasBadScale(weight);
  if (row < 0) return;
  throw Error(ErrorCode::kInvalidModel,
              name + ": row " + std::to_string(row) + " holds NaN, infinity, or values too large to scale",
              "check the source checkpoint (its file may be damaged), or exclude this layer");
}

LinearResult::LinearResult() = default;
LinearResult::~LinearResult() = default;

const QuantizedWeight& LinearResult::Weight(LinearModule& module) {
  if (!weight_) {
    weight_ = QuantizeWeight(module.weight().Get(), spec);
    CheckScales(*weight_, module.weight().name());
  }
  return *weight_;
}

void LinearResult::SetWeight(QuantizedWeight weight, bool can_be_made_again) {
  weight_ = std::move(weight);
  can_be_made_again_ = can_be_made_again;
}

void LinearResult::Release() {
  if (can_be_made_again_) weight_.reset();
}

QuantizedWeight LinearResult::TakeWeight() {
  MODELSLIM_CHECK(weight_.has_value());
  return *std::exchange(weight_, std::nullopt);
}

LinearResult* QuantizedResult(LinearModule& module) { return dynamic_cast<LinearResult*>(module.result().get()); }

}  // namespace modelslim
