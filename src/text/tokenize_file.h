// A file of texts to a stream of token ids.
#pragma once

#include <iosfwd>

#include "base/file.h"
#include "text/tokenizer.h"

namespace modelslim {

// For every line of `file` (JSON lines, one object each) the ids of its `text`, or else of its `inputs_pretokenized`,
// as
// {"ids":[...]} on a line of `out`. Throws Error(kInvalidDataset) naming file and line for a blank line, one that is no
// object, has neither key or no string there, and Error(kSecurity) when the file cannot be read.
void TokenizeJsonl(const Tokenizer& tokenizer, const fs::path& file, bool add_special, std::ostream& out);

}  // namespace modelslim
