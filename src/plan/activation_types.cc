#include "plan/activation_types.h"

#include <map>
#include <string>
#include <utility>

#include "processor/walk.h"

namespace modelslim {
namespace {

// Zeros of the right type. Without tokens nobody asks for the weight of a Linear.
class NoWeights : public WeightSource {
 public:
  std::optional<SharedTensor> Map(const ParamInfo&) const override { return std::nullopt; }
  Tensor Load(const ParamInfo& param) const override { return Tensor::Zeros(param.dtype, param.shape); }
  void WillNeed(const ParamInfo&) const override {}
  void DontNeed(const ParamInfo&) const override {}
};

class TypeRecorder : public KvObserver {
 public:
  void Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
               const RowGroups&) override {
    seen_[attention] = {keys.dtype, values.dtype};
  }
  const std::map<std::string, std::pair<DType, DType>>& seen() const { return seen_; }

 private:
  std::map<std::string, std::pair<DType, DType>> seen_;
};

DType OutputType(const Family& family, Block& block, Block& rest, DType input, TypeRecorder& recorder) {
  constexpr int64_t kNoSamples[] = {0};
  ForwardContext context;
  context.groups = {kNoSamples};
  context.kv = &recorder;
  context.rest = &rest;
  const Tensor nothing(input, {0, family.HiddenWidth()});
  return family.Forward(block, context, nothing.view()).dtype();
}

// One stage's steps on a block that is entered in the type `input`. Returns what the stage's next block is entered in.
DType SketchStage(const Family& family, PlannedStage& stage, Block& block, Block& rest, DType input, ModelPlan& plan) {
  const Processor* const last = LastWithData(stage.steps);
  DType handed_on = input;
  std::vector<DType> types;
  for (const auto& step : stage.steps) {
    step->SketchPass(block, family, plan);
    TypeRecorder recorder;
    DType output = input;
    if (step->NeedsData()) output = OutputType(family, block, rest, input, recorder);
    step->SketchResult(block, family, plan);
    if (step->ForwardsAgain()) output = OutputType(family, block, rest, input, recorder);
    for (const auto& [attention, seen] : recorder.seen()) step->PlanKvTypes(attention, seen.first, seen.second, plan);
    if (step.get() == last) handed_on = output;
    types.push_back(Promote(input, output));
  }
  if (stage.needs_data()) stage.types.push_back(std::move(types));
  return handed_on;
}

}  // namespace

void PlanActivationTypes(const Family& family, std::vector<PlannedStage>& stages, ModelPlan& plan) {
  const NoWeights source;
  const std::unique_ptr<Block> rest = family.MakeBlock(-1, source);
  std::vector<DType> inputs(stages.size(), family.layout().dtype);
  for (const BlockInfo& info : family.layout().blocks) {
    const std::unique_ptr<Block> block = family.MakeBlock(info.index, source);
    for (size_t i = 0; i < stages.size(); ++i) {
      inputs[i] = SketchStage(family, stages[i], *block, *rest, inputs[i], plan);
    }
  }
}

}  // namespace modelslim
