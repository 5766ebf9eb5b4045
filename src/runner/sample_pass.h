// Sends all calibration samples, chunk by chunk, through the embedding or through a block.
#pragma once

#include <span>

#include "data/batch.h"
#include "model/family.h"
#include "runner/hidden_store.h"
#include "runner/memory_plan.h"

namespace modelslim {

// Who looks on during a forward; each may be null.
struct Onlookers {
  KvObserver* kv = nullptr;
  ExpertObserver* experts = nullptr;
};

// What stays the same over a run. All referred to must outlive it.
struct SamplePass {
  const Family& family;
  const TokenBatch& batch;
  std::span<const Chunk> chunks;
  Keep keep = Keep::kPacked;
  Block& rest;  // the modules outside of the blocks

  // Token ids -> `out`, whose type becomes that of the embeddings.
  void Embed(HiddenFile& out) const;
  // Both throw Error(kInvalidModel) where what is computed is NaN or infinite (see FiniteWatch).
  // `in` through `block`; `out` (may be null: nobody wants it) gets the result and its type. Asks between chunks
  // whether to stop.
  void Forward(Block& block, const Onlookers& onlookers, const HiddenFile& in, HiddenFile* out) const;
  // What the last block put out, through the final norm, to the observers and the activation stage of `head`. Its
  // product, which nobody needs, is not computed.
  void ShowToHead(LinearModule& head, const HiddenFile& in) const;
};

}  // namespace modelslim
