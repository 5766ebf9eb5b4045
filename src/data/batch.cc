#include "data/batch.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"

namespace modelslim {
namespace {

std::vector<int32_t> EncodeSample(const Tokenizer& tokenizer, const TextSample& sample, bool add_special) {
  try {
    return tokenizer.Encode(sample.text, add_special);
  } catch (const Error& e) {
    throw Error(e.code(), sample.where + ": " + e.what(), e.tip());
  }
}

void Check(const std::vector<int32_t>& ids, const TextSample& sample, int64_t vocab_size) {
  if (ids.empty()) {
    throw Error(ErrorCode::kInvalidDataset, sample.where + ": the sample has no tokens",
                "remove the line, or give it some text");
  }
  for (size_t i = 0; vocab_size > 0 && i < ids.size(); ++i) {
    if (ids[i] < vocab_size) continue;
    throw Error(ErrorCode::kInvalidModel,
                sample.where + ": token " + std::to_string(i) + " has id " + std::to_string(ids[i]) +
                    ", but the model's vocabulary has " + std::to_string(vocab_size) + " rows",
                "the tokenizer files do not belong to this model, or vocab_size in config.json is wrong");
  }
}

}  // namespace

TokenBatch MakeTokenBatch(const Tokenizer& tokenizer, const std::vector<TextSample>& samples,
                          const BatchOptions& options) {
  std::vector<std::vector<int32_t>> ids(samples.size());
  ParallelFor(static_cast<int64_t>(samples.size()),
              [&](int64_t i) { ids[i] = EncodeSample(tokenizer, samples[i], options.add_special); });
  TokenBatch batch;
  for (size_t i = 0; i < samples.size(); ++i) {
    Check(ids[i], samples[i], options.vocab_size);
    batch.ids.insert(batch.ids.end(), ids[i].begin(), ids[i].end());
    batch.offsets.push_back(static_cast<int64_t>(batch.ids.size()));
  }
  return batch;
}

TokenBatch PadInBatches(const TokenBatch& batch, int64_t size) {
  TokenBatch padded;
  for (int64_t begin = 0; begin < batch.samples(); begin += size) {
    const int64_t end = std::min(batch.samples(), begin + size);
    size_t longest = 0;
    for (int64_t i = begin; i < end; ++i) longest = std::max(longest, batch.Sample(i).size());
    for (int64_t i = begin; i < end; ++i) {
      const std::span<const int32_t> ids = batch.Sample(i);
      padded.ids.insert(padded.ids.end(), ids.begin(), ids.end());
      padded.ids.insert(padded.ids.end(), longest - ids.size(), 0);
      padded.offsets.push_back(static_cast<int64_t>(padded.ids.size()));
    }
  }
  return padded;
}

TokenBatch KeepSamples(const TokenBatch& batch, int64_t begin, int64_t end) {
  TokenBatch kept;
  for (int64_t i = begin; i < end; ++i) {
    const std::span<const int32_t> ids = batch.Sample(i);
    kept.ids.insert(kept.ids.end(), ids.begin(), ids.end());
    kept.offsets.push_back(static_cast<int64_t>(kept.ids.size()));
  }
  return kept;
}

}  // namespace modelslim
