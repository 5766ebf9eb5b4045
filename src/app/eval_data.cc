#include "app/eval_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/installation.h"
#include "base/log.h"
#include "base/words.h"
#include "data/dataset.h"
#include "text/tokenizer.h"

namespace modelslim {
namespace {

void CheckSame(const Tokenizer& tokenizer, const fs::path& directory, const fs::path& second,
               const std::vector<TextSample>& samples) {
  const std::unique_ptr<Tokenizer> other = Tokenizer::Load(second);
  for (const TextSample& sample : samples) {
    const std::vector<int32_t> ids = tokenizer.Encode(sample.text, false), theirs = other->Encode(sample.text, false);
    if (ids == theirs) continue;
    const auto at =
        static_cast<size_t>(std::mismatch(ids.begin(), ids.end(), theirs.begin(), theirs.end()).first - ids.begin());
    const auto token = [at](const std::vector<int32_t>& of) {
      return at < of.size() ? fmt::to_string(of[at]) : "none";
    };
    throw Error(ErrorCode::kInvalidModel,
                fmt::format("{}: token {} is {} by the tokenizer of {}, and {} by that of {}", sample.where, at,
                            token(ids), directory.string(), token(theirs), second.string()),
                "give as --reference the checkpoint that the output was made of");
  }
}

}  // namespace

TokenBatch LoadWindows(const fs::path& tokenizer, const fs::path& second, const WindowOptions& options) {
  if (options.window < 2)
    throw Error(ErrorCode::kSchema, fmt::format("--window: expected at least 2 tokens, found {}", options.window));
  const fs::path file = ResolveDataset(options.data, ShippedDirectories("lab_eval"));
  const auto [samples, warnings] = LoadTextDataset(file, {.keys = options.text_keys, .before_the_line = "text"});
  // Without keys, what is said of lines that lack one is about calibration.
  for (const std::string& warning : warnings) {
    if (!options.text_keys.empty()) LogWarning(warning);
  }
  if (samples.empty()) {
    throw Error(ErrorCode::kInvalidDataset, file.string() + ": there are no texts in it",
                "give texts as --data, one object with a text on each line");
  }
  const std::unique_ptr<Tokenizer> made = Tokenizer::Load(tokenizer);
  if (!second.empty()) CheckSame(*made, tokenizer, second, samples);
  const TokenBatch all = MakeTokenBatch(*made, samples, {.add_special = false, .vocab_size = options.vocab_size});
  std::vector<int64_t> starts;
  for (int64_t s = 0; s < all.samples(); ++s) {
    for (int64_t at = all.offsets[s]; at + options.window <= all.offsets[s + 1]; at += options.window)
      starts.push_back(at);
  }
  const auto found = static_cast<int64_t>(starts.size());
  if (found == 0) {
    throw Error(ErrorCode::kInvalidDataset,
                fmt::format("{}: {} in {}, and none is as long as a window of {}", file.string(),
                            Counted(all.offsets.back(), "token"), Counted(all.samples(), "text"), options.window),
                "give longer texts, or a shorter --window");
  }
  if (options.windows > found) {
    LogWarning(fmt::format("{}: {} of {} tokens, fewer than --windows {}", file.string(), Counted(found, "window"),
                           options.window, options.windows));
  }
  const int64_t taken = options.windows > 0 ? std::min(options.windows, found) : found;
  TokenBatch windows;
  for (int64_t i = 0; i < taken; ++i) {
    const auto begin = all.ids.begin() + starts[static_cast<size_t>(i * found / taken)];
    windows.ids.insert(windows.ids.end(), begin, begin + options.window);
    windows.offsets.push_back(static_cast<int64_t>(windows.ids.size()));
  }
  return windows;
}

}  // namespace modelslim
