// What a tokenizer is made of, and the readers that make it from the files of a model directory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "io/json_ref.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"

namespace modelslim {

constexpr uint64_t kMaxTokenizerFile = uint64_t{1} << 30;
constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 2;

struct TokenizerParts {
  std::unique_ptr<const BpeModel> model;
  NormalizerPtr normalizer;       // may be null
  PreTokenizerPtr pre_tokenizer;  // may be null: one piece
  bool bytes = false;             // pieces reach the model as bytes
  PostProcessor post_processor;
  std::vector<AddedToken> added;  // with their final ids
  // A token that is dropped where it alone stands before a special one at the start of the text.
  std::optional<int32_t> dropped_at_start;
  AddedTokenMatcher raw_matcher;         // in the text as it is
  AddedTokenMatcher normalized_matcher;  // in the normalized text

  // The id of an added token or of one of the vocabulary.
  std::optional<int32_t> Find(const std::string& token) const;
  // Whether `id` is that of a special added token.
  bool IsSpecial(int32_t id) const;
  // Where the pieces end as bytes' stand-ins and the model knows them all, bytes are handed over as they are. To be
  // called when model and pre-tokenizer are there.
  void LeaveBytesIfPossible();
  // Takes over added tokens as the file lists them: ids are found again by the library's rule (the vocabulary's id,
  // else the next free one), then the matchers are filled. Call once, when the rest is complete.
  void SetAddedTokens(std::vector<AddedToken> listed);
};

// All of these throw as Tokenizer::Load() says, naming file and JSON path.

// An object of tokens with their ids.
BpeModel::Vocabulary ReadVocabulary(const JsonRef& node);
// All but the id, which the two files that list added tokens keep in different places.
AddedToken ReadAddedToken(const JsonRef& node);

// The `added_tokens_decoder` of tokenizer_config.json, in the order of the ids; nothing where it is absent.
std::vector<AddedToken> ReadAddedTokensDecoder(const JsonRef& decoder);
// A token that tokenizer_config.json gives as a string or as an object with its content.
std::string ContentOfToken(const JsonRef& node);

// From the document of a tokenizer.json.
std::unique_ptr<TokenizerParts> ReadTokenizerJson(const JsonRef& root);
// From vocab.json, merges.txt and, for the added tokens and the class, the document of tokenizer_config.json (absent
// where there is none). Classes Qwen2* (also where none is named) and GPT2*; Error(kUnsupported) for any other.
std::unique_ptr<TokenizerParts> ReadVocabularyFiles(const fs::path& model_dir, const JsonRef& config);
// Puts bos and eos around every text by the flags of tokenizer_config.json, as the Llama classes do.
void PutLlamaTokens(const JsonRef& config, TokenizerParts& parts);
// Applies what tokenizer_config.json says about special tokens.
void ApplyTokenizerConfig(const JsonRef& config, TokenizerParts& parts);

}  // namespace modelslim
