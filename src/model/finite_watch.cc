#include "model/finite_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/block.h"
#include "ops/finite.h"

namespace modelslim {
namespace {

std::string InParameter(Parameter& parameter) {
  const ConstView values = parameter.Get();
  const std::optional<int64_t> at = FirstNotFinite(values);
  if (!at) return "";
  return fmt::format(
      "{} holds {} ({})", parameter.name(), NotFiniteName(values, *at),
      values.shape.size() == 2 ? fmt::format("row {}", *at / values.cols()) : fmt::format("element {}", *at));
}

// A parameter that is itself not finite, in words: all that are no weights of Linears, and the weight of `suspect`.
// Empty when there is none.
std::string BadParameter(Block& block, std::string_view suspect) {
  for (const ModuleInfo& module : block.info().modules) {
    std::string found;
    if (LinearModule* const linear = block.FindLinear(module.name)) {
      if (module.name == suspect) found = InParameter(linear->weight());
      if (found.empty() && linear->bias() != nullptr) found = InParameter(*linear->bias());
    } else if (NormModule* const norm = block.FindNorm(module.name)) {
      found = InParameter(norm->weight());
      if (found.empty() && norm->bias() != nullptr) found = InParameter(*norm->bias());
    } else {
      for (const ParamInfo& param : module.params) {
        if (found.empty()) found = InParameter(*block.FindParameter(param.name));
      }
    }
    if (!found.empty()) return found;
  }
  return "";
}

const char* TipFor(DType dtype) {
  if (dtype == DType::kF16) {
    return "float16 ends at 65504: convert the checkpoint to bfloat16 and quantize that; to stay with float16, smooth "
           "before this step (iter_smooth) where that brings the layer into range, and roll it back to float (exclude)";
  }
  return "look at the weights of this layer, which no finite input should drive so far; a recipe can roll the layer "
         "back to float (exclude), or smooth less in front of it";
}

}  // namespace

std::optional<FiniteWatch::Finding> FiniteWatch::Look(std::string_view module, const ConstView& x,
                                                      const RowGroups& groups) {
  const std::optional<int64_t> at = FirstNotFinite(x);
  if (!at) return std::nullopt;
  const int64_t row = *at / x.cols();
  const auto after = std::upper_bound(groups.offsets.begin(), groups.offsets.end(), row);
  return Finding{std::string(module), NotFiniteName(x, *at), groups.first_sample + (after - groups.offsets.begin()) - 1,
                 *at % x.cols(), x.dtype};
}

void FiniteWatch::Enter(std::string_view module, std::string_view what, const ConstView& x, const RowGroups& groups) {
  if (const auto finding = Look(module, x, groups)) Stop(*finding, what);
}

void FiniteWatch::Leave(std::string_view module, const ConstView& y, const RowGroups& groups) {
  if (!output_) output_ = Look(module, y, groups);
}

void FiniteWatch::Finish() {
  if (output_) Stop(*output_, "output");
}

void FiniteWatch::Stop(const Finding& finding, std::string_view what) {
  const bool plural = what.ends_with("s");
  std::string text =
      fmt::format("{}: its {} {} not finite: {} in calibration sample {}, channel {} ({})", finding.module, what,
                  plural ? "are" : "is", finding.value, finding.sample, finding.channel, DTypeName(finding.dtype));
  const bool from_output = output_ && output_->module != finding.module;
  if (from_output) {
    text += fmt::format("; it came from {}, which put out {} in sample {}, channel {} ({})", output_->module,
                        output_->value, output_->sample, output_->channel, DTypeName(output_->dtype));
  }
  const Finding& origin = output_ ? *output_ : finding;
  if (const std::string damaged = BadParameter(block_, origin.module); !damaged.empty()) {
    throw Error(ErrorCode::kInvalidModel, damaged + "; " + text,
                "compare the files of the source checkpoint with what was published, or download them again");
  }
  throw Error(ErrorCode::kInvalidModel, text, TipFor(origin.dtype));
}

}  // namespace modelslim
