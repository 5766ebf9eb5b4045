// The windows of text that an evaluation predicts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/batch.h"

namespace modelslim {

struct WindowOptions {
  std::string data;  // a path, or a name from lab_eval
  std::vector<std::string> text_keys;
  int64_t windows = 0;  // 0: all
  int64_t window = 512;
  int64_t vocab_size = 0;
};

// Every text is tokenized by itself without special tokens and cut into windows; a last piece that is shorter is
// dropped. With a number of windows, those numbered floor(i * all / windows). `second` (may be empty): a directory
// whose tokenizer has to say the same. Throws Error(kInvalidDataset) for texts without a whole window, or whose tokens
// the model does not have, Error(kInvalidModel) for tokenizers that disagree.
TokenBatch LoadWindows(const fs::path& tokenizer, const fs::path& second, const WindowOptions& options);

}  // namespace modelslim
