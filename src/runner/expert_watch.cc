#include "runner/expert_watch.h"

#include <algorithm>
#include <utility>

#include "base/stop.h"
#include "model/finite_watch.h"

namespace modelslim {
namespace {

bool SomebodyLooks(LinearModule& module) { return !module.observers().empty() || module.forward() != nullptr; }

// Whether anything wants to know what enters the expert.
bool IsWatched(Block& block, const std::string& expert) {
  const std::vector<LinearModule*> linears = block.linears();
  return std::any_of(linears.begin(), linears.end(), [&](LinearModule* module) {
    return ExpertOf(module->name()) == expert && SomebodyLooks(*module);
  });
}

}  // namespace

void ExpertWatch::Observe(const std::string& experts, std::span<const int64_t> tokens, const ConstView& x,
                          const RowGroups& groups) {
  auto layer =
      std::find_if(layers_.begin(), layers_.end(), [&](const Layer& each) { return each.coverage.experts == experts; });
  if (layer == layers_.end()) {
    layers_.push_back({{experts, std::vector<int64_t>(tokens.size(), 0)}, nullptr});
    layer = std::prev(layers_.end());
    if (keeps_inputs_) layer->inputs = std::make_unique<InputTape>(scratch_);
  }
  for (size_t e = 0; e < tokens.size(); ++e) layer->coverage.tokens[e] += tokens[e];
  if (layer->inputs) layer->inputs->Observe(x, groups);
}

void ExpertWatch::FeedIdle(Block& block, Keep keep, std::set<std::string, std::less<>>* fed) {
  for (Layer& layer : layers_) {
    for (const int64_t index : layer.coverage.Idle()) {
      const std::string expert = layer.coverage.experts + "." + std::to_string(index);
      if (!layer.inputs || !IsWatched(block, expert)) continue;
      fed->insert(expert);
      for (const InputTape::Chunk& chunk : layer.inputs->chunks()) {
        ThrowIfStopped();
        FiniteWatch watch(block);
        ForwardContext context;
        context.groups = {chunk.offsets, chunk.first_sample, &watch};
        context.keep = keep;
        family_.ForwardPart(block, context, expert,
                            layer.inputs->Rows(chunk.begin, chunk.begin + chunk.offsets.back()));
        watch.Finish();
      }
    }
  }
}

std::vector<ExpertCoverage> ExpertWatch::Coverage() const {
  std::vector<ExpertCoverage> coverage;
  for (const Layer& layer : layers_) coverage.push_back(layer.coverage);
  return coverage;
}

}  // namespace modelslim
