// Files and a tokenizer for the tests of this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "data/batch.h"
#include "data/dataset.h"

namespace modelslim {

// a, b, c and ab with ids 0 to 3; <s> (4) in front of every text.
inline std::unique_ptr<Tokenizer> SmallTokenizer() {
  return Tokenizer::FromJson(
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3}, "merges": ["a b"]},
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [4]}}}})",
      "t.json");
}

inline bool Holds(const Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

}  // namespace modelslim
