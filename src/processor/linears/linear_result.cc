#include "processor/linears/linear_result.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "ops/finite.h"
#include "processor/observing/output_error.h"

namespace modelslim {

void CheckScales(const QuantizedWeight& weight, Parameter& source) {
  const int64_t row = HasBadScale(weight);
  if (row < 0) return;
  const ConstView values = source.Get();
  if (const std::optional<int64_t> at = FirstNotFinite(values.Rows(row, row + 1))) {
    ThrowNotFinite(source.name(), values, row * values.cols() + *at, source.modified());
  }
  throw Error(
      ErrorCode::kInvalidModel,
      fmt::format("{}: row {} holds numbers that {} has no scale for", source.name(), row, DTypeName(source.dtype())),
      "convert the checkpoint to another type (float32 has the finest scales), or exclude this layer");
}

void ThrowNotFinite(const std::string& name, const ConstView& values, int64_t index, bool changed, int64_t first_row) {
  const std::string found =
      fmt::format("{}: row {} holds {}", name, first_row + index / values.cols(), NotFiniteName(values, index));
  if (!changed) {
    throw Error(ErrorCode::kInvalidModel, found,
                "check the source checkpoint (its file may be damaged), or exclude this layer");
  }
  const bool half = values.dtype == DType::kF16;
  throw Error(ErrorCode::kInvalidModel,
              fmt::format("{} after the steps before this one changed it ({})", found, DTypeName(values.dtype)),
              std::string(half ? "float16 ends at 65504: convert the checkpoint to bfloat16 and quantize that, or "
                               : "look at the weights of this layer and those that it is smoothed with, or ") +
                  "smooth less (a smaller alpha), or exclude this layer from the steps that change it");
}

LinearResult::LinearResult() = default;
LinearResult::~LinearResult() = default;

const QuantizedWeight& LinearResult::Weight(LinearModule& module) {
  if (!weight_) {
    weight_ = QuantizeWeight(module.weight().Get(), spec);
    CheckScales(*weight_, module.weight());
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
