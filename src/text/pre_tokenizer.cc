#include "text/pre_tokenizer.h"

#include <utility>

#include "base/stop.h"
#include "text/byte_level.h"
#include "text/growth.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

// The pattern of GPT-2, which ByteLevel applies by itself.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// A stretch of a piece, and whether the pattern matched it.
struct Stretch {
  TextRange range;
  bool match;
};

// Matches and the gaps between them cover the piece.
void CoverWithGaps(const std::vector<TextRange>& matches, uint32_t size, bool invert, std::vector<Stretch>& out) {
  uint32_t done = 0;
  for (const TextRange& match : matches) {
    if (done != match.begin) out.push_back({{done, match.begin}, invert});
    out.push_back({match, !invert});
    done = match.end;
  }
  if (done != size) out.push_back({{done, size}, invert});
}

void AppendShifted(const TextRange& range, uint32_t offset, std::vector<TextRange>& out) {
  if (range.begin < range.end) out.push_back({range.begin + offset, range.end + offset});
}

// Merges as the reference does: a stretch joins its neighbour when it is a match and the one before it (in scan order)
// is not, or, for kContiguous, when both are of one kind.
void AppendPieces(std::vector<Stretch>& stretches, SplitBehavior behavior, uint32_t offset,
                  std::vector<TextRange>& out) {
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    for (const Stretch& s : stretches) {
      if (behavior == SplitBehavior::kIsolated || !s.match) AppendShifted(s.range, offset, out);
    }
    return;
  }
  const bool backwards = behavior == SplitBehavior::kMergedWithNext;
  if (backwards) std::reverse(stretches.begin(), stretches.end());
  std::vector<TextRange> merged;
  bool previous = false;
  for (const Stretch& s : stretches) {
    const bool join = behavior == SplitBehavior::kContiguous ? s.match == previous : s.match && !previous;
    if (!join || merged.empty()) {
      merged.push_back(s.range);
    } else if (backwards) {
      merged.back().begin = s.range.begin;
    } else {
      merged.back().end = s.range.end;
    }
    previous = s.match;
  }
  if (backwards) std::reverse(merged.begin(), merged.end());
  for (const TextRange& range : merged) AppendShifted(range, offset, out);
}

class RegexSplit : public PreTokenizer {
 public:
  RegexSplit(std::string_view pattern, SplitBehavior behavior, bool invert, std::string_view where)
      : regex_(pattern, where), behavior_(behavior), invert_(invert) {}

  void Apply(PieceList& list) const override {
    std::vector<TextRange> out, matches;
    std::vector<Stretch> stretches;
    out.reserve(list.text.size() / 4 + 8);
    for (const TextRange& range : list.pieces) {
      matches.clear();
      regex_.FindAll(list.Piece(range), matches);
      const uint32_t size = range.end - range.begin;
      if (behavior_ == SplitBehavior::kIsolated) {
        uint32_t done = 0;
        for (const TextRange& match : matches) {
          AppendShifted({done, match.begin}, range.begin, out);
          AppendShifted(match, range.begin, out);
          done = match.end;
        }
        AppendShifted({done, size}, range.begin, out);
        continue;
      }
      stretches.clear();
      CoverWithGaps(matches, size, invert_, stretches);
      AppendPieces(stretches, behavior_, range.begin, out);
    }
    list.pieces = std::move(out);
  }

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

class CharSplit : public PreTokenizer {
 public:
  CharSplit(std::function<bool(char32_t)> matches, SplitBehavior behavior)
      : matches_(std::move(matches)), behavior_(behavior) {}

  void Apply(PieceList& list) const override {
    std::vector<TextRange> out, found;
    std::vector<Stretch> stretches;
    for (const TextRange& range : list.pieces) {
      const std::string_view piece = list.Piece(range);
      found.clear();
      for (uint32_t i = 0; i < piece.size();) {
        const Utf8Char c = DecodeUtf8(piece.data() + i);
        if (matches_(c.code)) found.push_back({i, i + c.size});
        i += c.size;
      }
      stretches.clear();
      CoverWithGaps(found, static_cast<uint32_t>(piece.size()), false, stretches);
      AppendPieces(stretches, behavior_, range.begin, out);
    }
    list.pieces = std::move(out);
  }

 private:
  std::function<bool(char32_t)> matches_;
  SplitBehavior behavior_;
};

// Rewrites every piece with write(piece, out, is_first).
template <typename Write>
void RewritePieces(PieceList& list, Write write) {
  std::string out;
  out.reserve(list.text.size() * 2);
  bool first = true;
  for (TextRange& range : list.pieces) {
    const auto begin = static_cast<uint32_t>(out.size());
    write(list.Piece(range), out, first);
    CheckGrowth(out.size(), list.limit);
    range = {begin, static_cast<uint32_t>(out.size())};
    first = false;
  }
  list.storage = std::move(out);
  list.text = list.storage;
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) split_ = MakeRegexSplit(kGpt2Pattern, SplitBehavior::kIsolated, false, "ByteLevel");
  }
  void Apply(PieceList& list) const override {
    if (add_prefix_space_) {
      RewritePieces(list, [](std::string_view piece, std::string& out, bool) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    }
    if (split_) split_->Apply(list);
    if (leave_bytes_) return;
    RewritePieces(list, [](std::string_view piece, std::string& out, bool) { AppendByteStandIns(out, piece); });
  }
  bool EndsInByteStandIns() const override { return true; }
  void LeaveBytes() override { leave_bytes_ = true; }

 private:
  bool add_prefix_space_;
  bool leave_bytes_ = false;
  PreTokenizerPtr split_;
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split) : scheme_(scheme) {
    AppendUtf8(replacement_, replacement);
    if (split) {
      split_ = MakeCharSplit([replacement](char32_t c) { return c == replacement; }, SplitBehavior::kMergedWithNext);
    }
  }
  void Apply(PieceList& list) const override {
    const bool at_start = list.at_start;
    RewritePieces(list, [&](std::string_view piece, std::string& out, bool first) {
      const bool prepend = scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && first && at_start);
      const bool begun = piece.starts_with(' ') || piece.starts_with(replacement_);
      if ((prepend && !begun) || (scheme_ == PrependScheme::kStart && first && at_start)) out += replacement_;
      for (const char c : piece) {
        if (c == ' ') {
          out += replacement_;
        } else {
          out += c;
        }
      }
    });
    if (split_) split_->Apply(list);
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  PreTokenizerPtr split_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<PreTokenizerPtr> steps) : steps_(std::move(steps)) {}
  void Apply(PieceList& list) const override {
    for (const auto& step : steps_) {
      ThrowIfStopped();
      step->Apply(list);
    }
  }
  bool EndsInByteStandIns() const override { return !steps_.empty() && steps_.back()->EndsInByteStandIns(); }
  void LeaveBytes() override {
    if (!steps_.empty()) steps_.back()->LeaveBytes();
  }

 private:
  std::vector<PreTokenizerPtr> steps_;
};

}  // namespace

PreTokenizerPtr MakeRegexSplit(std::string_view pattern, SplitBehavior behavior, bool invert, std::string_view where) {
  return std::make_unique<RegexSplit>(pattern, behavior, invert, where);
}
PreTokenizerPtr MakeStringSplit(std::string_view text, SplitBehavior behavior, bool invert, std::string_view where) {
  return std::make_unique<RegexSplit>(EscapeRegex(text), behavior, invert, where);
}
PreTokenizerPtr MakeCharSplit(std::function<bool(char32_t)> matches, SplitBehavior behavior) {
  return std::make_unique<CharSplit>(std::move(matches), behavior);
}
PreTokenizerPtr MakeByteLevel(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}
PreTokenizerPtr MakeMetaspace(char32_t replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(replacement, scheme, split);
}
PreTokenizerPtr MakePreTokenizerSequence(std::vector<PreTokenizerPtr> steps) {
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

}  // namespace modelslim
