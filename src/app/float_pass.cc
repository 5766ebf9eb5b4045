#include "app/float_pass.h"

#include <stdlib.h>

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/stop.h"
#include "runner/chunks.h"
#include "runner/hidden_store.h"
#include "runner/read_ahead.h"

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

class FloatPass {
 public:
  FloatPass(const Family& family, const WeightSource& source, const TokenBatch& batch, uint64_t memory_limit)
      : family_(family),
        batch_(batch),
        rest_(family.MakeBlock(-1, source)),
        residency_(PlanResidency(family, batch.offsets, memory_limit != 0 ? memory_limit : OfferedMemory() / 5 * 4)),
        in_(MakeNamelessFile(batch.offsets.back(), family.HiddenWidth())),
        out_(MakeNamelessFile(batch.offsets.back(), family.HiddenWidth())) {}

  void Embed() {
    for (const Chunk& chunk : residency_.chunks) {
      const auto [begin, end] = RowsOf(chunk);
      Store(family_.Embed(*rest_, IdsOf(begin, end)), begin, end);
    }
    std::swap(in_, out_);
  }

  void Forward(Block& block) {
    std::vector<int64_t> offsets;
    for (const Chunk& chunk : residency_.chunks) {
      ThrowIfStopped();
      const auto [begin, end] = RowsOf(chunk);
      offsets.clear();
      for (int64_t s = chunk.begin; s <= chunk.end; ++s) offsets.push_back(batch_.offsets[s] - begin);
      ForwardContext context;
      context.groups = {offsets, chunk.begin};
      context.ids = IdsOf(begin, end);
      context.keep_packed = residency_.keep_packed && residency_.chunks.size() > 1;
      context.rest = rest_.get();
      Store(family_.Forward(block, context, in_->Rows(begin, end)), begin, end);
    }
    std::swap(in_, out_);
  }

 private:
  std::pair<int64_t, int64_t> RowsOf(const Chunk& chunk) const {
    return {batch_.offsets[chunk.begin], batch_.offsets[chunk.end]};
  }
  std::span<const int32_t> IdsOf(int64_t begin, int64_t end) const {
    return std::span(batch_.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
  void Store(const Tensor& rows, int64_t begin, int64_t end) {
    out_->set_dtype(rows.dtype());
    Convert(rows.view(), out_->Rows(begin, end));
  }

  const Family& family_;
  const TokenBatch& batch_;
  std::unique_ptr<Block> rest_;
  Residency residency_;
  std::unique_ptr<HiddenFile> in_, out_;  // what the next block reads, and where it writes
};

}  // namespace

void RunFloatPass(const Family& family, const WeightSource& source, const TokenBatch& batch,
                  const FloatPassOptions& options, const std::function<void(Block&)>& enter,
                  const std::function<void(Block&)>& leave) {
  FloatPass pass(family, source, batch, options.memory_limit);
  pass.Embed();
  const std::vector<BlockInfo>& blocks = family.layout().blocks;
  double total = 0;
  for (int index = 0; index < options.blocks; ++index) total += static_cast<double>(family.MultiplyAddsPerToken(index));
  Progress progress(options.title, total);
  ReadAhead ahead(source);
  if (options.blocks > 0) ahead.Start(blocks[0].modules);
  for (int index = 0; index < options.blocks; ++index) {
    ThrowIfStopped();
    const std::unique_ptr<Block> block = family.MakeBlock(index, source);
    if (index + 1 < options.blocks) ahead.Start(blocks[static_cast<size_t>(index) + 1].modules);
    enter(*block);
    pass.Forward(*block);
    leave(*block);
    progress.Advance(static_cast<double>(family.MultiplyAddsPerToken(index)), block->name());
  }
}

}  // namespace modelslim
