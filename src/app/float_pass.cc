#include "app/float_pass.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/stop.h"
#include "runner/hidden_store.h"
#include "runner/memory_plan.h"
#include "runner/read_ahead.h"
#include "runner/sample_pass.h"

namespace modelslim {
void RunFloatPass(const Family& family, const WeightSource& source, const TokenBatch& batch,
                  const FloatPassOptions& options, const std::function<void(Block&)>& enter,
                  const std::function<void(Block&)>& leave) {
  const std::unique_ptr<Block> rest = family.MakeBlock(-1, source);
  const MemoryPlan memory =
      PlanMemory({.family = family, .source = source, .offsets = {batch.offsets}}, options.memory_limit);
  const SamplePass pass{family, batch, memory.chunks.front(), memory.keep, *rest};
  std::unique_ptr<HiddenFile> in = MakeNamelessHidden(batch.offsets.back(), family.HiddenWidth());
  std::unique_ptr<HiddenFile> out = MakeNamelessHidden(batch.offsets.back(), family.HiddenWidth());
  pass.Embed(*in);
  const std::vector<BlockInfo>& blocks = family.layout().blocks;
  double total = 0;
  for (int index = 0; index < options.blocks; ++index) total += static_cast<double>(family.MultiplyAddsPerToken(index));
  Progress progress(options.title, total);
  const ReadAhead ahead(source, std::span(blocks).first(static_cast<size_t>(options.blocks)), memory.ahead_bytes);
  for (int index = 0; index < options.blocks; ++index) {
    ThrowIfStopped();
    const std::unique_ptr<Block> block = family.MakeBlock(index, ahead);
    enter(*block);
    pass.Forward(*block, Onlookers{}, *in, out.get());
    std::swap(in, out);
    leave(*block);
    progress.Advance(static_cast<double>(family.MultiplyAddsPerToken(index)), block->name());
  }
}

}  // namespace modelslim
