#include "plan/activation_types.h"

#include <map>
#include <string>
#include <utility>

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

}  // namespace

PassTypes PlanActivationTypes(const Family& family, const std::vector<std::unique_ptr<Processor>>& processors,
                              ModelPlan& plan) {
  PassTypes passes;
  const Processor* last = nullptr;  // whose pass the next block goes on from
  for (const auto& processor : processors) {
    if (processor->NeedsData()) last = processor.get();
  }
  const NoWeights source;
  const std::unique_ptr<Block> rest = family.MakeBlock(-1, source);
  DType input = family.layout().dtype;
  for (const BlockInfo& info : family.layout().blocks) {
    const std::unique_ptr<Block> block = family.MakeBlock(info.index, source);
    DType handed_on = input;
    passes.emplace_back();
    for (const auto& processor : processors) {
      processor->SketchPass(*block, family, plan);
      TypeRecorder recorder;
      DType output = input;
      if (processor->NeedsData()) output = OutputType(family, *block, *rest, input, recorder);
      processor->SketchResult(*block, family, plan);
      if (processor->ForwardsAgain()) output = OutputType(family, *block, *rest, input, recorder);
      for (const auto& [attention, types] : recorder.seen()) {
        processor->PlanKvTypes(attention, types.first, types.second, plan);
      }
      if (processor.get() == last) handed_on = output;
      passes.back().push_back(Promote(input, output));
    }
    input = handed_on;
  }
  return passes;
}

}  // namespace modelslim
