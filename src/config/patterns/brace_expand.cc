// Brace expansion, bash style. Matching braces are found first, in one pass, so that unclosed ones cost nothing.
#include <charconv>
#include <optional>

#include "base/error.h"
#include "config/patterns/pattern.h"

namespace modelslim {
namespace {

constexpr size_t kNone = std::string_view::npos;

// For every '{' the index of its '}', kNone for characters that open nothing. "$" before "{" keeps it literal, and a
// "}" directly behind its "{" does not close it.
std::vector<size_t> MatchBraces(std::string_view text) {
  std::vector<size_t> close(text.size(), kNone);
  std::vector<size_t> open;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      ++i;
    } else if (text[i] == '{') {
      open.push_back(i);
    } else if (text[i] == '}' && !open.empty() && open.back() + 1 != i) {
      close[open.back()] = i;
      open.pop_back();
    }
  }
  return close;
}

[[noreturn]] void TooMany(std::string_view pattern) {
  throw Error(ErrorCode::kSchema,
              "the pattern " + std::string(pattern.substr(0, 60)) + " expands to more than " +
                  std::to_string(kMaxPatternExpansions) + " alternatives",
              "use * or split the pattern");
}

using Texts = std::vector<std::string>;

class Expander {
 public:
  explicit Expander(std::string_view text) : text_(text), close_(MatchBraces(text)) {}

  Texts All() { return Range(0, text_.size()); }

 private:
  // The alternatives of [begin, end), in which every group is wholly inside.
  Texts Range(size_t begin, size_t end) {
    Texts done{""};
    size_t i = begin;
    while (i < end) {
      if (text_[i] == '{' && close_[i] != kNone) {
        done = Product(done, Group(i, close_[i]));
        i = close_[i] + 1;
        continue;
      }
      const size_t start = i;
      while (i < end && !(text_[i] == '{' && close_[i] != kNone)) i += text_[i] == '\\' && i + 1 < end ? 2 : 1;
      for (std::string& each : done) each.append(text_.substr(start, i - start));
    }
    return done;
  }

  Texts Group(size_t open, size_t close) {
    const std::string_view inside = text_.substr(open + 1, close - open - 1);
    if (std::optional<Texts> sequence = Sequence(inside)) return *sequence;
    const std::vector<size_t> commas = Commas(open + 1, close);
    Texts out;
    if (commas.empty()) {
      for (std::string& each : Range(open + 1, close)) out.push_back("{" + each + "}");
      return out;
    }
    size_t start = open + 1;
    for (size_t i = 0; i <= commas.size(); ++i) {
      const size_t end = i < commas.size() ? commas[i] : close;
      for (std::string& each : Range(start, end)) out.push_back(std::move(each));
      if (out.size() > kMaxPatternExpansions) TooMany(text_);
      start = end + 1;
    }
    return out;
  }

  std::vector<size_t> Commas(size_t begin, size_t end) const {
    std::vector<size_t> commas;
    for (size_t i = begin; i < end; ++i) {
      if (text_[i] == '\\')
        ++i;
      else if (text_[i] == '{' && close_[i] != kNone)
        i = close_[i];
      else if (text_[i] == ',')
        commas.push_back(i);
    }
    return commas;
  }

  Texts Product(const Texts& left, const Texts& right) const {
    if (left.size() * right.size() > kMaxPatternExpansions) TooMany(text_);
    Texts out;
    out.reserve(left.size() * right.size());
    for (const std::string& a : left) {
      for (const std::string& b : right) out.push_back(a + b);
    }
    return out;
  }

  static std::optional<int64_t> Integer(std::string_view text) {
    std::string_view digits = text;
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
    if (digits.empty() || digits.size() > 15) return std::nullopt;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return text[0] == '-' ? -value : value;
  }

  static bool IsLetter(std::string_view text) {
    return text.size() == 1 && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
  }

  // Digits are padded to the longer of the two texts when one of them has a leading zero.
  static size_t PadWidth(std::string_view first, std::string_view last) {
    const auto padded = [](std::string_view text) {
      if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
      return text.size() > 1 && text[0] == '0';
    };
    return padded(first) || padded(last) ? std::max(first.size(), last.size()) : 0;
  }

  static std::string Padded(int64_t value, size_t width) {
    std::string digits = std::to_string(value < 0 ? -value : value);
    const size_t sign = value < 0 ? 1 : 0;
    if (digits.size() + sign < width) digits.insert(0, width - sign - digits.size(), '0');
    return value < 0 ? "-" + digits : digits;
  }

  std::optional<Texts> Sequence(std::string_view inside) const {
    const size_t dots = inside.find("..");
    if (dots == kNone) return std::nullopt;
    const std::string_view first = inside.substr(0, dots);
    std::string_view last = inside.substr(dots + 2);
    int64_t step = 1;
    if (const size_t more = last.find(".."); more != kNone) {
      const std::optional<int64_t> given = Integer(last.substr(more + 2));
      if (!given) return std::nullopt;
      step = *given == 0 ? 1 : std::abs(*given);
      last = last.substr(0, more);
    }
    const bool letters = IsLetter(first) && IsLetter(last);
    const std::optional<int64_t> from = letters ? first[0] : Integer(first);
    const std::optional<int64_t> to = letters ? last[0] : Integer(last);
    if (!from || !to) return std::nullopt;
    const int64_t count = std::abs(*to - *from) / step + 1;
    if (count > static_cast<int64_t>(kMaxPatternExpansions)) TooMany(text_);
    Texts out;
    const size_t width = letters ? 0 : PadWidth(first, last);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t value = *from + (*to >= *from ? i * step : -i * step);
      if (!letters)
        out.push_back(Padded(value, width));
      else if (IsLetter(std::string(1, static_cast<char>(value))))
        out.emplace_back(1, static_cast<char>(value));
      else
        out.push_back({'\\', static_cast<char>(value)});  // the signs between Z and a stand for themselves
    }
    return out;
  }

  std::string_view text_;
  std::vector<size_t> close_;
};

}  // namespace

std::vector<std::string> ExpandBraces(std::string_view pattern) { return Expander(pattern).All(); }

}  // namespace modelslim
