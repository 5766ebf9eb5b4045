// A model's tokenizer: text to token ids, as the Hugging Face tokenizers library computes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace modelslim {

struct TokenizerParts;  // text/tokenizer_parts.h

class Tokenizer {
 public:
  // Reads `tokenizer.json` of a model directory, else `vocab.json` and `merges.txt` (byte-level BPE with the Qwen2
  // pattern), else `tokenizer.model` (SentencePiece, see text/sentencepiece.h). `tokenizer_config.json`, where there is
  // one beside a `config.json`, decides about the special tokens: the Llama classes put bos and eos by its flags,
  // whatever tokenizer.json says; Qwen2Tokenizer puts none; every other class obeys tokenizer.json. Throws
  // Error(kInvalidModel) for a missing or malformed file and Error(kUnsupported) for a component that is not known
  // here; both name the file and the JSON path.
  static std::unique_ptr<Tokenizer> Load(const fs::path& model_dir);
  // The text of a tokenizer.json alone; `name` stands for it in messages.
  static std::unique_ptr<Tokenizer> FromJson(std::string_view json, const std::string& name);

  explicit Tokenizer(std::unique_ptr<TokenizerParts> parts);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // The ids of `text`. `add_special` puts the special tokens that belong around every text. No truncation, no padding.
  // Added tokens are recognised wherever they stand in the text. Thread-safe.
  // Throws Error(kInvalidDataset) when `text` is not UTF-8 or longer than 1 GiB.
  std::vector<int32_t> Encode(std::string_view text, bool add_special) const;

  // One more than the largest id that Encode() can return.
  int64_t vocab_size() const;

 private:
  void EncodeRaw(std::string_view text, bool at_start, struct EncodeState& state, std::vector<int32_t>& ids) const;
  void EncodeNormalized(std::string_view text, bool at_start, struct EncodeState& state,
                        std::vector<int32_t>& ids) const;
  void EncodeSegment(std::string_view text, bool at_start, struct EncodeState& state, std::vector<int32_t>& ids) const;

  struct StatePool;
  std::unique_ptr<TokenizerParts> parts_;
  std::unique_ptr<StatePool> pool_;
};

}  // namespace modelslim
