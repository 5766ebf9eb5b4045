// A block of a golden model with made-up hidden states, and one processor that works on it as the runner would.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "model/model_testing.h"
#include "processor/processor.h"

namespace modelslim {

class BlockRun {
 public:
  BlockRun(const fs::path& directory, const std::string& model_type, int index = 0)
      : model_(directory, model_type),
        rest_(model_.family->MakeBlock(-1, *model_.source)),
        block_(model_.family->MakeBlock(index, *model_.source)),
        hidden_(DType::kF32, {kRows, model_.family->HiddenWidth()}) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < hidden_.size(); ++i) hidden_.as<float>()[i] = normal(random) * (i % 13 == 0 ? 6.0f : 1.0f);
    plan.decisions.Start(family().layout());
  }

  const Family& family() const { return *model_.family; }
  Block& block() { return *block_; }
  RunState& state() {
    if (!state_) state_.emplace(RunState{family(), plan, *rest_, Keep::kPacked, scratch_.path()});
    return *state_;
  }

  // All rows at once, or sample by sample.
  Tensor Forward(bool in_chunks = false) {
    Tensor result(DType::kF32, {kRows, hidden_.shape()[1]});
    const std::vector<int64_t> all = {0, kSplit, kRows}, first = {0, kSplit}, second = {0, kRows - kSplit};
    if (in_chunks) {
      ForwardRows(first, 0, 0, &result);
      ForwardRows(second, 1, kSplit, &result);
    } else {
      ForwardRows(all, 0, 0, &result);
    }
    return result;
  }

  void Run(Processor& processor, bool in_chunks = false) {
    processor.Plan(family(), plan);
    processor.Preprocess(block(), state());
    Forward(in_chunks);
    processor.Postprocess(block(), state());
  }

  ModelPlan plan;

 private:
  static constexpr int64_t kRows = 47, kSplit = 20;

  void ForwardRows(const std::vector<int64_t>& offsets, int64_t sample, int64_t begin, Tensor* result) {
    const std::vector<int32_t> ids(static_cast<size_t>(offsets.back()), 5);
    ForwardContext context;
    context.groups = {offsets, sample};
    context.ids = ids;
    context.rest = rest_.get();
    const int64_t cols = hidden_.shape()[1];
    const Tensor out =
        model_.family->Forward(*block_, context, std::as_const(hidden_).view().Rows(begin, begin + offsets.back()));
    for (int64_t i = 0; i < out.size(); ++i) result->as<float>()[begin * cols + i] = ElementAsF32(out.view(), i);
  }

  OpenModel model_;
  TemporaryDirectory scratch_;
  std::unique_ptr<Block> rest_, block_;
  Tensor hidden_;
  std::optional<RunState> state_;
};

inline QConfig HalfConfig(QDType dtype, QScope scope) {
  QConfig half;
  half.dtype = dtype;
  half.scope = scope;
  half.method = "minmax";
  return half;
}

inline ProcessorConfig StepConfig(const char* type, ProcessorVariant own) {
  ProcessorConfig config;
  config.type = type;
  config.path = "spec.process[0]";
  config.config = std::move(own);
  return config;
}

// Largest difference as a share of the largest value.
inline double LargestDifference(const Tensor& a, const Tensor& b) {
  double top = 0, worst = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    top = std::max<double>(top, std::fabs(b.as<float>()[i]));
    worst = std::max<double>(worst, std::fabs(a.as<float>()[i] - b.as<float>()[i]));
  }
  return worst / top;
}

}  // namespace modelslim
