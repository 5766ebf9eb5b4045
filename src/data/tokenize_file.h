// A file of texts to a stream of token ids.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "text/tokenizer.h"

namespace modelslim {

struct TokenizeOptions {
  bool add_special = true;
  // As in TextKeys. Empty: `inputs_pretokenized`, else `text`, else the line itself.
  std::vector<std::string> text_keys;
};

// For every text of `file` (a list of strings where the name ends in .json, else JSON lines, one object each; see
// data/dataset.h) its ids, as {"ids":[...]} on a line of `out`. Returns what is to be warned of: lines that quant would
// read otherwise. Throws Error(kInvalidDataset) naming file and line for what is no sample, and Error(kSecurity) when
// the file cannot be read.
std::vector<std::string> TokenizeFile(const Tokenizer& tokenizer, const fs::path& file, const TokenizeOptions& options,
                                      std::ostream& out);

}  // namespace modelslim
