// What a tokenizer is made of, and the readers that make it from the files of a model directory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"

namespace modelslim {

struct TokenizerParts {
  std::unique_ptr<const BpeModel> model;
  NormalizerPtr normalizer;       // may be null
  PreTokenizerPtr pre_tokenizer;  // may be null: one piece
  bool bytes = false;             // pieces reach the model as bytes
  PostProcessor post_processor;
  std::vector<AddedToken> added;         // with their final ids
  AddedTokenMatcher raw_matcher;         // in the text as it is
  AddedTokenMatcher normalized_matcher;  // in the normalized text

  // The id of an added token or of one of the vocabulary.
  std::optional<int32_t> Find(const std::string& token) const;
  // Takes over added tokens as the file lists them: ids are found again by the library's rule (the vocabulary's id,
  // else the next free one), then the matchers are filled. Call once, when the rest is complete.
  void SetAddedTokens(std::vector<AddedToken> listed);
};

// `name` (a path) begins every message. Throws as Tokenizer::Load() says.
std::unique_ptr<TokenizerParts> ReadTokenizerJson(std::string_view json, const std::string& name);
// From vocab.json, merges.txt and, for the added tokens and the class, tokenizer_config.json. Classes Qwen2* (also
// where none is named) and GPT2*; Error(kUnsupported) for any other.
std::unique_ptr<TokenizerParts> ReadVocabularyFiles(const fs::path& model_dir);
// Applies what tokenizer_config.json says about special tokens.
void ApplyTokenizerConfig(const fs::path& config, TokenizerParts& parts);

}  // namespace modelslim
