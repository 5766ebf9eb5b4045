// Oniguruma (Ruby syntax, UTF-8) to PCRE2. The two agree on most of what tokenizers write; this file is the list of
// where they do not.
#include <cctype>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/regex.h"
#include "text/regex_property.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

// Unicode Alphabetic, Mark, Decimal_Number, Connector_Punctuation: \w of Oniguruma. PCRE2's own lacks the marks.
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHex = "0-9A-Fa-f";

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : in_(pattern), where_(where) {}

  std::string Run() {
    while (at_ < in_.size()) Step();
    CloseOptions();
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    throw Error(ErrorCode::kUnsupported, std::string(where_) + ": the regular expression \"" + std::string(in_) +
                                             "\" uses " + std::string(what) + " at byte " + std::to_string(at_) +
                                             ", which is not supported");
  }

  bool Ahead(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  void Step() {
    switch (in_[at_]) {
      case '\\':
        return Escape(false);
      case '[':
        out_ += Class(1);
        return;
      case '(':
        return Open();
      case ')':
        if (!groups_.empty()) {
          CloseOptions();
          groups_.pop_back();
        }
        out_ += ')';
        ++at_;
        return;
      case '{':
        return Interval();
      default:
        out_ += in_[at_++];
    }
  }

  // Closes the options that were switched on inside the innermost group (see Options()).
  void CloseOptions() {
    const int open = groups_.empty() ? top_options_ : groups_.back();
    out_.append(static_cast<size_t>(open), ')');
  }

  void Open() {
    if (Ahead("(?~")) Refuse("an absent operator");
    if (Ahead("(?#")) {
      const size_t end = in_.find(')', at_);
      at_ = end == std::string_view::npos ? in_.size() : end + 1;
      return;
    }
    if (Ahead("(?") && at_ + 2 < in_.size() && std::string_view("imx-").find(in_[at_ + 2]) != std::string_view::npos) {
      return Options();
    }
    groups_.push_back(0);
    out_ += '(';
    ++at_;
    if (Ahead("?<") && !Ahead("?<=") && !Ahead("?<!")) {  // a name: copied, it may hold anything
      const size_t end = in_.find('>', at_);
      if (end == std::string_view::npos) Refuse("an unfinished group name");
      out_ += in_.substr(at_, end + 1 - at_);
      at_ = end + 1;
    } else if (Ahead("?")) {
      out_ += in_[at_++];
    }
  }

  // (?m) is "dot matches newline" in Ruby. A bare (?i) holds to the end of the group, alternatives included: it becomes
  // a group of its own, closed where its parent closes.
  void Options() {
    size_t end = at_ + 2;
    std::string letters;
    while (end < in_.size() && std::string_view("imx-").find(in_[end]) != std::string_view::npos) {
      letters += in_[end] == 'm' ? 's' : in_[end];
      ++end;
    }
    if (end >= in_.size() || (in_[end] != ':' && in_[end] != ')')) Refuse("an unknown group option");
    if (letters.find('x') != std::string::npos) Refuse("extended syntax");
    out_ += "(?" + letters + ":";
    if (in_[end] == ':') {
      groups_.push_back(0);
    } else {
      ++(groups_.empty() ? top_options_ : groups_.back());
    }
    at_ = end + 1;
  }

  // {,n} counts from zero in Ruby; a + or ? behind an interval does not mean what it means in Perl.
  void Interval() {
    size_t end = at_ + 1;
    while (end < in_.size() && (std::isdigit(static_cast<unsigned char>(in_[end])) || in_[end] == ',')) ++end;
    const std::string_view body = in_.substr(at_ + 1, end - at_ - 1);
    const bool interval = end < in_.size() && in_[end] == '}' && !body.empty() && body != ",";
    if (!interval) {
      out_ += "\\{";
      ++at_;
      return;
    }
    if (end + 1 < in_.size() && in_[end + 1] == '+') Refuse("a + behind an interval");
    if (end + 1 < in_.size() && in_[end + 1] == '?' && body.find(',') == std::string_view::npos) {
      Refuse("a ? behind an exact interval");
    }
    out_ += '{';
    if (body[0] == ',') out_ += '0';
    out_ += body;
    out_ += '}';
    at_ = end + 1;
  }

  void Emit(std::string_view text, bool in_class) {
    if (in_class) {
      out_ += text;
    } else {
      out_ += '[';
      out_ += text;
      out_ += ']';
    }
  }

  void Escape(bool in_class) {
    if (at_ + 1 >= in_.size()) Refuse("a backslash at its end");
    const char c = in_[at_ + 1];
    if (c == 'p' || c == 'P') return Property();
    if (c == 'x' || c == 'u') return CodePoint(c);
    const size_t start = at_;
    at_ += 2;
    switch (c) {
      case 's':
        out_ += R"(\p{White_Space})";
        return;
      case 'S':
        out_ += R"(\P{White_Space})";
        return;
      case 'd':
        out_ += R"(\p{Nd})";
        return;
      case 'D':
        out_ += R"(\P{Nd})";
        return;
      case 'w':
        return Emit(kWord, in_class);
      case 'h':
        return Emit(kHex, in_class);
      case 'v':
        out_ += R"(\x{0B})";
        return;
      case 'O':
        if (!in_class) {
          out_ += "(?s:.)";
          return;
        }
        break;
      case 'W':
      case 'H':
        out_ += "[^" + std::string(c == 'W' ? kWord : kHex) + "]";
        return;
      case 'b':
      case 'B':
        if (in_class) break;
        return Boundary(c == 'b');
      case 'k':
      case 'g':
        at_ = start;
        Refuse("a named reference or subroutine call");
      default:
        break;
    }
    if (std::isalpha(static_cast<unsigned char>(c)) &&
        std::string_view("nrtfaeAzZGRXKNb").find(c) == std::string_view::npos) {
      out_ += c;  // Oniguruma: an unknown escape is the letter itself
    } else {
      out_ += in_.substr(start, 2);
    }
  }

  void Boundary(bool at_boundary) {
    const std::string word = "[" + std::string(kWord) + "]";
    const std::string behind = "(?<=" + word + ")", not_behind = "(?<!" + word + ")";
    const std::string ahead = "(?=" + word + ")", not_ahead = "(?!" + word + ")";
    out_ += at_boundary ? "(?:" + behind + not_ahead + "|" + not_behind + ahead + ")"
                        : "(?:" + behind + ahead + "|" + not_behind + not_ahead + ")";
  }

  void CodePoint(char kind) {
    size_t end = at_ + 2;
    if (end < in_.size() && in_[end] == '{') {
      end = in_.find('}', end);
      if (end == std::string_view::npos) Refuse("an unfinished code point");
      out_ += R"(\x{)" + std::string(in_.substr(at_ + 3, end - at_ - 3)) + "}";
      at_ = end + 1;
      return;
    }
    const size_t most = kind == 'u' ? 4 : 2;
    while (end < in_.size() && end - at_ - 2 < most && std::isxdigit(static_cast<unsigned char>(in_[end]))) ++end;
    if (end == at_ + 2) Refuse("a code point without digits");
    out_ += R"(\x{)" + std::string(in_.substr(at_ + 2, end - at_ - 2)) + "}";
    at_ = end;
  }

  void Property() {
    bool negated = in_[at_ + 1] == 'P';
    if (at_ + 2 >= in_.size()) Refuse("an unfinished property");
    if (in_[at_ + 2] != '{') Refuse("a property without braces");
    const size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) Refuse("an unfinished property");
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    out_ += std::string(negated ? R"(\P{)" : R"(\p{)") + PcreProperty(name) + "}";
    at_ = end + 1;
  }

  // One side of an intersection: what PCRE2 takes between brackets, and what it does not, each an expression that
  // matches one character. A '-' behind one of the latter begins no range.
  struct Side {
    enum class Last { kItem, kDash, kOther };
    std::string items;
    std::vector<std::string> others;
    Last last = Last::kItem;

    void Other(std::string expression) {
      others.push_back(std::move(expression));
      last = Last::kOther;
    }
    void Dash() {
      items += last == Last::kOther ? "\\-" : "-";
      last = last == Last::kOther ? Last::kItem : Last::kDash;
    }
    std::string Expression() const {
      if (items.empty() && others.empty()) return "(?!)";  // nothing
      std::string all = items.empty() ? "" : "[" + std::string(items.front() == '^' ? "\\" : "") + items + "]";
      if (others.empty()) return all;
      for (const std::string& each : others) all += (all.empty() ? "" : "|") + each;
      return "(?:" + all + ")";
    }
  };

  // A class, with the two things that PCRE2 has not: classes inside it are alternatives, and sides of an intersection
  // look ahead at the character that the last one takes.
  std::string Class(int depth) {
    constexpr int kMaxNesting = 100;
    if (depth > kMaxNesting) Refuse("classes inside classes, deeper than " + std::to_string(kMaxNesting) + " levels,");
    ++at_;
    const bool negated = Ahead("^");
    if (negated) ++at_;
    std::string before;  // the sides that look ahead
    Side side;
    if (Ahead("]")) {
      side.items = "\\]";
      ++at_;
    }
    while (at_ < in_.size() && in_[at_] != ']') {
      if (Ahead("&&")) {
        before += "(?=" + side.Expression() + ")";
        side = {};
        at_ += 2;
      } else if (in_[at_] == '[' && !Ahead("[:")) {
        if (side.last == Side::Last::kDash && side.items != "-") Refuse("a range that ends in a class");
        side.Other(Class(depth + 1));
      } else {
        ClassItem(side);
      }
    }
    if (at_ >= in_.size()) Refuse("an unfinished class");
    ++at_;
    if (before.empty() && side.others.empty()) return (negated ? "[^" : "[") + side.items + "]";
    const std::string whole = "(?:" + before + side.Expression() + ")";
    return negated ? "(?:(?!" + whole + ")(?s:.))" : whole;
  }

  // Anything but a class.
  void ClassItem(Side& side) {
    if (in_[at_] == '-') {
      side.Dash();
      ++at_;
      return;
    }
    if (Ahead("\\W") || Ahead("\\H")) {
      side.Other("[^" + std::string(in_[at_ + 1] == 'W' ? kWord : kHex) + "]");
      at_ += 2;
      return;
    }
    side.last = Side::Last::kItem;
    if (Ahead("[:")) {
      const size_t end = in_.find(":]", at_ + 2);
      if (end == std::string_view::npos) Refuse("an unfinished POSIX class");
      side.items += in_.substr(at_, end + 2 - at_);
      at_ = end + 2;
    } else if (in_[at_] == '\\') {
      std::swap(out_, side.items);
      Escape(true);
      std::swap(out_, side.items);
    } else {
      side.items += in_[at_++];
    }
  }

  std::string_view in_;
  std::string_view where_;
  std::string out_;
  size_t at_ = 0;
  std::vector<int> groups_;  // open groups: how many option groups to close before each
  int top_options_ = 0;
};

}  // namespace

std::string TranslateRegex(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).Run();
}

std::string EscapeRegex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace modelslim
