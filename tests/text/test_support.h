// Small tokenizers written by hand, for the tests of this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "text/tokenizer.h"

namespace modelslim {

using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// a b c ab abc and the space; ids in this order. No pre-tokenizer: the whole text is one piece.
inline Json SmallTokenizer() {
  return Json::parse(R"({
    "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, " ": 5, "?": 6},
              "merges": ["a b", ["ab", "c"]]}})");
}

inline std::unique_ptr<Tokenizer> Make(const Json& json) { return Tokenizer::FromJson(json.dump(), "t.json"); }

}  // namespace modelslim
