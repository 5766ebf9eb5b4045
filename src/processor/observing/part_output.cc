#include "processor/observing/part_output.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "processor/linears/quant_forward.h"

namespace modelslim {
namespace {

constexpr int64_t kRowGrain = 16;

// Of every row, the sum over its elements of (a - b)^2.
void SquaredChanges(const ConstView& a, const ConstView& b, std::vector<double>* sums) {
  MODELSLIM_CHECK(a.dtype == b.dtype && a.rows() == b.rows() && a.cols() == b.cols());
  const int64_t cols = a.cols();
  sums->resize(static_cast<size_t>(a.rows()));
  WithModelDType(a.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T *const x = a.as<T>(), *const y = b.as<T>();
    ParallelRanges(a.rows(), kRowGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        double sum = 0;
        for (int64_t i = r * cols; i < (r + 1) * cols; ++i) {
          const double difference = ToF32(x[i]) - ToF32(y[i]);
          sum += difference * difference;
        }
        (*sums)[r] = sum;
      }
    });
  });
}

bool IsInside(const std::string& name, const std::string& part) {
  return name == part || name.compare(0, part.size() + 1, part + ".") == 0;
}

}  // namespace

std::string CommonModule(const std::vector<std::string>& names) {
  MODELSLIM_CHECK(!names.empty());
  std::string common = names.front();
  for (const std::string& name : names) {
    while (!common.empty() && !IsInside(name, common)) {
      const size_t dot = common.rfind('.');
      common.resize(dot == std::string::npos ? 0 : dot);
    }
  }
  return common;
}

PartOutput::PartOutput(Block& block, RunState& state, std::string part, InputTape& input)
    : block_(block), family_(state.family), part_(std::move(part)), input_(input), keep_(state.keep) {
  for (LinearModule* module : block.linears()) {
    if (!IsInside(module->name(), part_) || (module->observers().empty() && !IsCalibrating(*module))) continue;
    throw Error(ErrorCode::kSpec,
                part_ + " would have to run again while another processor of the same group takes statistics in " +
                    module->name(),
                "take the processor out of the group, in front of it");
  }
  for (const InputTape::Chunk& chunk : input_.chunks()) {
    const Tensor output = Run(chunk);
    if (!original_) original_ = std::make_unique<TokenStore>(state.scratch, output.dtype());
    original_->Append(output.view());
  }
  MODELSLIM_CHECK(original_ != nullptr);
}

Tensor PartOutput::Run(const InputTape::Chunk& chunk) {
  const ConstView x = input_.Rows(chunk.begin, chunk.begin + chunk.offsets.back());
  // A Linear alone: what is on the tape has passed its input transform already.
  if (LinearModule* linear = block_.FindLinear(part_)) {
    Tensor output = linear->forward() ? linear->forward()->Apply(*linear, x) : linear->FloatForward(x, keep_);
    linear->Release(keep_);
    return output;
  }
  ForwardContext context;
  context.groups = {chunk.offsets, chunk.first_sample};
  context.keep = keep_;
  return family_.ForwardPart(block_, context, part_, x);
}

double PartOutput::MeanSquaredChange() {
  double total = 0, elements = 0;
  std::vector<double> sums;
  for (const InputTape::Chunk& chunk : input_.chunks()) {
    const Tensor output = Run(chunk);
    const int64_t end = chunk.begin + chunk.offsets.back();
    SquaredChanges(output.view(), original_->Rows().Rows(chunk.begin, end), &sums);
    for (const double sum : sums) total += sum;
    elements += static_cast<double>(output.size());
  }
  return total / elements;
}

}  // namespace modelslim
