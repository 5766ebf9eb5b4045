// Pre-tokenizers: the text of one segment (what lies between two added tokens) cut into the pieces that the model sees
// one by one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace modelslim {

// The pieces of a segment, in order; none is empty. `text` is either the caller's or `storage`, when a step rewrote it.
struct PieceList {
  std::string_view text;
  std::string storage;
  std::vector<TextRange> pieces;
  bool at_start = true;       // the segment begins where the whole text begins
  size_t limit = UINT32_MAX;  // bytes that `storage` may have (text/growth.h)

  std::string_view Piece(const TextRange& range) const { return text.substr(range.begin, range.end - range.begin); }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Thread-safe.
  virtual void Apply(PieceList& list) const = 0;
  // True when the last step writes bytes as their stand-ins. LeaveBytes() makes it leave the bytes as they are, for a
  // model that takes bytes.
  virtual bool EndsInByteStandIns() const { return false; }
  virtual void LeaveBytes() {}
};
using PreTokenizerPtr = std::unique_ptr<PreTokenizer>;

// What becomes of the matches of a Split.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
// kFirst: at the start of the text. kStart: there, even if it begins with a space.
enum class PrependScheme { kFirst, kNever, kAlways, kStart };

// `pattern` in the syntax of text/regex.h. `invert` swaps matches and gaps. `where` names it in errors.
PreTokenizerPtr MakeRegexSplit(std::string_view pattern, SplitBehavior behavior, bool invert, std::string_view where);
PreTokenizerPtr MakeStringSplit(std::string_view text, SplitBehavior behavior, bool invert, std::string_view where);
// Splits at every character that `matches` picks.
PreTokenizerPtr MakeCharSplit(std::function<bool(char32_t)> matches, SplitBehavior behavior);
PreTokenizerPtr MakeByteLevel(bool add_prefix_space, bool use_regex);
PreTokenizerPtr MakeMetaspace(char32_t replacement, PrependScheme scheme, bool split);
PreTokenizerPtr MakePreTokenizerSequence(std::vector<PreTokenizerPtr> steps);

}  // namespace modelslim
