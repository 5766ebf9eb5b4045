#include "runner/sample_pass.h"

#include <span>
#include <vector>

#include "base/stop.h"
#include "model/finite_watch.h"

namespace modelslim {
namespace {

std::span<const int32_t> IdsOf(const TokenBatch& batch, int64_t begin, int64_t end) {
  return std::span(batch.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

// Of the samples of a chunk, from its first row.
std::vector<int64_t> OffsetsOf(const TokenBatch& batch, const Chunk& chunk) {
  std::vector<int64_t> offsets;
  for (int64_t s = chunk.begin; s <= chunk.end; ++s) offsets.push_back(batch.offsets[s] - batch.offsets[chunk.begin]);
  return offsets;
}

void Store(const Tensor& rows, int64_t begin, int64_t end, HiddenFile& out) {
  out.set_dtype(rows.dtype());
  Convert(rows.view(), out.Rows(begin, end));
}

}  // namespace

void SamplePass::Embed(HiddenFile& out) const {
  for (const Chunk& chunk : chunks) {
    ThrowIfStopped();
    const int64_t begin = batch.offsets[chunk.begin], end = batch.offsets[chunk.end];
    const Tensor embedded = family.Embed(rest, IdsOf(batch, begin, end));
    const std::vector<int64_t> offsets = OffsetsOf(batch, chunk);
    FiniteWatch(rest).Enter(family.layout().blocks.front().name, "input", embedded.view(), {offsets, chunk.begin});
    Store(embedded, begin, end, out);
  }
}

void SamplePass::Forward(Block& block, const Onlookers& onlookers, const HiddenFile& in, HiddenFile* out) const {
  for (const Chunk& chunk : chunks) {
    ThrowIfStopped();
    const int64_t begin = batch.offsets[chunk.begin], end = batch.offsets[chunk.end];
    const std::vector<int64_t> offsets = OffsetsOf(batch, chunk);
    FiniteWatch watch(block);
    ForwardContext context;
    context.groups = {offsets, chunk.begin, &watch};
    context.ids = IdsOf(batch, begin, end);
    context.kv = onlookers.kv;
    context.experts = onlookers.experts;
    context.keep = keep;
    context.rest = &rest;
    const Tensor result = family.Forward(block, context, in.Rows(begin, end));
    watch.Leave(block.name(), result.view(), context.groups);
    watch.Finish();
    if (out != nullptr) Store(result, begin, end, *out);
  }
}

void SamplePass::ShowToHead(LinearModule& head, const HiddenFile& in) const {
  for (const Chunk& chunk : chunks) {
    ThrowIfStopped();
    const std::vector<int64_t> offsets = OffsetsOf(batch, chunk);
    FiniteWatch watch(rest);
    const RowGroups groups{offsets, chunk.begin, &watch};
    const ConstView hidden = in.Rows(batch.offsets[chunk.begin], batch.offsets[chunk.end]);
    const Tensor normed = rest.norm("model.norm").Forward(hidden);
    watch.Enter(head.name(), "input", normed.view(), groups);
    for (InputObserver* const observer : head.observers()) observer->Observe(normed.view(), groups);
    if (head.forward() && head.forward()->activation()) head.forward()->activation()->Apply(normed.view(), groups);
    watch.Finish();
  }
}

}  // namespace modelslim
