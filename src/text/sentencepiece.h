// SentencePiece models (tokenizer.model): what stands in such a file, and the tokenizer that it makes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_ref.h"
#include "text/tokenizer_parts.h"

namespace modelslim {

// The fields of the message ModelProto that decide about encoding, with the defaults of its definition.
struct SentencePieceFile {
  enum class Type { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };
  static constexpr int kUnigram = 1, kBpe = 2;

  std::vector<Piece> pieces;  // by id
  int model_type = kUnigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  std::string normalization;  // name of the rules; rules and no name is possible
  bool has_rules = false;     // of normalization
  bool adds_dummy_prefix = true;
  bool removes_extra_whitespace = true;
  bool escapes_whitespace = true;
};

// Throws Error(kInvalidModel) naming `name` when the bytes are no such message.
SentencePieceFile ParseSentencePiece(std::string_view bytes, const std::string& name);

// The tokenizer of a directory that has tokenizer.model and no tokenizer.json, from the content of that file, which
// `name` stands for, and the document of tokenizer_config.json (or nothing): byte-pair models whose text is not
// normalized, under the Llama classes (also where no class is named), as msModelSlim loads them: the slow class with
// legacy=False. Error(kUnsupported) for any other kind.
std::unique_ptr<TokenizerParts> ReadSentencePiece(std::string_view bytes, const std::string& name,
                                                  const JsonRef& config);

}  // namespace modelslim
