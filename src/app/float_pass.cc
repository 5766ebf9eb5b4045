#include "app/float_pass.h"

#include <stdlib.h>

#include <cstdlib>
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
namespace {

// A file that nobody else can find and that is gone with the process: its name is removed at once.
std::unique_ptr<HiddenFile> MakeNamelessFile(int64_t rows, int64_t width) {
  const char* const chosen = std::getenv("TMPDIR");
  const fs::path parent = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  std::string pattern = (parent / "modelslim-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) ThrowSystemError("cannot create a directory for hidden states in", parent);
  const fs::path directory = pattern;
  const auto remove = [&] {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  };
  try {
    auto file = std::make_unique<HiddenFile>(directory / "hidden", rows, width, /*keep=*/false);
    remove();
    return file;
  } catch (...) {
    remove();
    throw;
  }
}

}  // namespace

void RunFloatPass(const Family& family, const WeightSource& source, const TokenBatch& batch,
                  const FloatPassOptions& options, const std::function<void(Block&)>& enter,
                  const std::function<void(Block&)>& leave) {
  const std::unique_ptr<Block> rest = family.MakeBlock(-1, source);
  const MemoryPlan memory =
      PlanMemory({.family = family, .source = source, .offsets = {batch.offsets}}, options.memory_limit);
  const SamplePass pass{family, batch, memory.chunks.front(), memory.keep, *rest};
  std::unique_ptr<HiddenFile> in = MakeNamelessFile(batch.offsets.back(), family.HiddenWidth());
  std::unique_ptr<HiddenFile> out = MakeNamelessFile(batch.offsets.back(), family.HiddenWidth());
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
