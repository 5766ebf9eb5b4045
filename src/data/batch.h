// Texts to one packed batch of token ids.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "text/tokenizer.h"

namespace modelslim {

// Samples one behind the other: sample i is ids[offsets[i], offsets[i + 1]). offsets has one entry more than there are
// samples.
struct TokenBatch {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};

  int64_t samples() const { return static_cast<int64_t>(offsets.size()) - 1; }
  std::span<const int32_t> Sample(int64_t i) const {
    return {ids.data() + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
  }
};

struct BatchOptions {
  bool add_special = true;
  // Rows of the model's embedding: a larger id is an error. 0: not checked.
  int64_t vocab_size = 0;
};

// Tokenizes every sample on the compute threads; the batch does not depend on their number. No truncation.
// Throws Error(kInvalidDataset) naming the sample where one has no tokens, and Error(kInvalidModel) naming sample,
// position and id where an id is not below vocab_size.
TokenBatch MakeTokenBatch(const Tokenizer& tokenizer, const std::vector<TextSample>& samples,
                          const BatchOptions& options);

// Every sample gets zeros at its end until it is as long as the longest among `size` samples from a multiple of `size`
// on: what a batch of them is to a model that knows no padding.
TokenBatch PadInBatches(const TokenBatch& batch, int64_t size);

// Samples [begin, end) alone.
TokenBatch KeepSamples(const TokenBatch& batch, int64_t begin, int64_t end);

}  // namespace modelslim
