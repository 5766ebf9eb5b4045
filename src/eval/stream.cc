#include "eval/stream.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/stop.h"
#include "runner/sample_pass.h"

namespace modelslim {

int EvalModel::blocks() const {
  const auto all = static_cast<int64_t>(family->layout().blocks.size());
  const int64_t decoder = family->facts().decoder_layers;
  return static_cast<int>(decoder > 0 ? std::min(decoder, all) : all);
}

Stream::Stream(const EvalModel& model, const TokenBatch& batch, uint64_t memory_limit, const fs::path& directory,
               const std::string& name, int blocks_done)
    : model_(model), batch_(batch) {
  memory_ = PlanMemory({.family = *model.family, .source = *model.source, .offsets = {batch.offsets}}, memory_limit);
  rest_ = MakeBlock(-1);
  for (const int i : {0, 1}) {
    files_[i] = directory.empty()
                    ? MakeNamelessHidden(batch.offsets.back(), model.family->HiddenWidth())
                    : std::make_unique<HiddenFile>(directory / (name + "-" + std::to_string(i)), batch.offsets.back(),
                                                   model.family->HiddenWidth(), /*keep=*/true);
  }
  at_ = blocks_done % 2;
}

std::unique_ptr<Block> Stream::MakeBlock(int index) const {
  std::unique_ptr<Block> block = model_.family->MakeBlock(index, *model_.source);
  if (model_.deployed != nullptr) model_.deployed->Dress(*block);
  return block;
}

void Stream::Embed() {
  SamplePass{*model_.family, batch_, memory_.chunks.front(), memory_.keep, *rest_}.Embed(*files_[at_]);
}

void Stream::Forward(int index) {
  const std::unique_ptr<Block> block = MakeBlock(index);
  std::optional<DeployedCache> cache;
  if (model_.deployed != nullptr) cache.emplace(model_.deployed->output(), *block);
  Onlookers onlookers;
  if (cache && !cache->empty()) onlookers.kv = &*cache;
  SamplePass{*model_.family, batch_, memory_.chunks.front(), memory_.keep, *rest_}.Forward(
      *block, onlookers, *files_[at_], files_[1 - at_].get());
  at_ = 1 - at_;
}

void Stream::ForwardOther(int index, const std::function<Tensor(int64_t, int64_t)>& input,
                          const std::function<void(int64_t, const Tensor&)>& look) {
  const std::unique_ptr<Block> block = MakeBlock(index);
  std::optional<DeployedCache> cache;
  if (model_.deployed != nullptr) cache.emplace(model_.deployed->output(), *block);
  for (const Chunk& chunk : memory_.chunks.front()) {
    ThrowIfStopped();
    const int64_t begin = batch_.offsets[chunk.begin], end = batch_.offsets[chunk.end];
    std::vector<int64_t> offsets;
    for (int64_t s = chunk.begin; s <= chunk.end; ++s) offsets.push_back(batch_.offsets[s] - begin);
    ForwardContext context;
    context.groups = {offsets, chunk.begin, nullptr};
    context.ids = std::span(batch_.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    context.keep = memory_.keep;
    context.rest = rest_.get();
    if (cache && !cache->empty()) context.kv = &*cache;
    const Tensor entered = input(begin, end);
    look(begin, model_.family->Forward(*block, context, entered.view()));
  }
}

}  // namespace modelslim
