#include "processor/steps/input_range.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "quant/numbers/affine_kernels.h"

namespace modelslim {
namespace {

// Sums in f64, row after row, so that they depend on the order of the samples and on nothing else.
class RangeObserver : public InputObserver {
 public:
  void Observe(const ConstView& x, const RowGroups&) override {
    std::vector<float> row(static_cast<size_t>(x.cols()));
    const auto bytes = x.cols() * static_cast<int64_t>(DTypeSize(x.dtype));
    for (int64_t r = 0; r < x.rows(); ++r) {
      LoadRun(static_cast<const std::byte*>(x.data) + r * bytes, x.dtype, x.cols(), row.data());
      for (const float value : row) {
        absmax_ = std::max(absmax_, std::fabs(value));
        sum_ += value;
        squares_ += static_cast<double>(value) * value;
      }
    }
    count_ += static_cast<double>(x.size());
  }

  bool empty() const { return count_ == 0; }
  InputRange Range() const {
    const double variance = count_ < 2 ? 0 : (squares_ - sum_ * sum_ / count_) / (count_ - 1);
    return {absmax_, std::sqrt(std::max(0.0, variance))};
  }

 private:
  float absmax_ = 0;
  double sum_ = 0, squares_ = 0, count_ = 0;
};

class InputRangeStep : public Processor {
 public:
  explicit InputRangeStep(const ProcessorConfig& config) : Processor(config) {}

  bool NeedsData() const override { return true; }
  void Plan(const Family&, ModelPlan&) const override {}

  void Preprocess(Block& block, RunState&) override {
    for (LinearModule* module : block.linears()) module->observers().push_back(&observers_[module->name()]);
  }

  void Postprocess(Block& block, RunState& state) override {
    for (LinearModule* module : block.linears()) {
      const RangeObserver& seen = observers_[module->name()];
      std::erase(module->observers(), &seen);
      if (state.ranges != nullptr && !seen.empty()) (*state.ranges)[module->name()] = seen.Range();
    }
    observers_.clear();
  }

 private:
  std::map<std::string, RangeObserver, std::less<>> observers_;
};

}  // namespace

std::unique_ptr<Processor> MakeInputRange(const ProcessorConfig& config) {
  return std::make_unique<InputRangeStep>(config);
}

}  // namespace modelslim
