#include "io/json_events.h"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "io/json.h"
#include "io/quote.h"

// Our own walk over the text. simdjson's tree refuses integers beyond 64 bits (model_max_length of many tokenizers),
// the NaN and Infinity that Python writes and lone surrogates, and says nothing of the place of an error; its on-demand
// front end is chosen at compile time and so is scalar in a portable build. Its UTF-8 check is used: that one picks its
// instructions at run time.
namespace modelslim {
namespace {

// What a byte means inside a string: 0 stands for itself, else the loop over plain bytes stops.
constexpr std::array<bool, 256> kStops = [] {
  std::array<bool, 256> stops{};
  for (int i = 0; i < 0x20; ++i) stops[i] = true;
  stops['"'] = stops['\\'] = true;
  return stops;
}();

void AppendUtf8(std::string& out, unsigned code) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

class Walker {
 public:
  Walker(std::string_view text, const std::string& name, ErrorCode code, int max_depth, JsonHandler& handler)
      : text_(text), name_(name), code_(code), max_depth_(max_depth), handler_(handler) {}

  void Run() {
    if (!simdjson::validate_utf8(text_.data(), text_.size())) {
      size_t length = 1;
      while (at_ < text_.size() && (length = Utf8Length(text_, at_)) != 0) at_ += length;
      Fail("expected JSON, found bytes that are not UTF-8", at_);
    }
    SkipSpace();
    if (at_ == text_.size()) Fail("expected a value, found an empty document", at_);
    Value(1);
    SkipSpace();
    if (at_ != text_.size()) FailHere("the end of the document");
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  // Skips white space, then takes `c` if it is next.
  bool Take(char c) {
    SkipSpace();
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  void Value(int depth) {
    SkipSpace();
    switch (Peek()) {
      case '{':
        return Object(depth);
      case '[':
        return Array(depth);
      case '"':
        return handler_.String(String());
      default:
        return Scalar();
    }
  }

  void Object(int depth) {
    Open(depth);
    handler_.BeginObject();
    if (!Take('}')) {
      do {
        SkipSpace();
        if (Peek() != '"') FailHere("a key in quotes");
        handler_.Key(String());
        if (!Take(':')) FailHere("':' after the key");
        Value(depth + 1);
      } while (Take(','));
      if (!Take('}')) FailHere("',' or '}'");
    }
    handler_.EndObject();
  }

  void Array(int depth) {
    Open(depth);
    handler_.BeginArray();
    if (!Take(']')) {
      do {
        Value(depth + 1);
      } while (Take(','));
      if (!Take(']')) FailHere("',' or ']'");
    }
    handler_.EndArray();
  }

  void Open(int depth) {
    if (depth > max_depth_) Fail("expected at most " + std::to_string(max_depth_) + " nested levels, found more", at_);
    ++at_;
  }

  void Scalar() {
    const size_t begin = at_;
    const auto belongs = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
             c == '.' || c == '_';
    };
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    const std::string_view token = text_.substr(begin, at_ - begin);
    if (token == "null") return handler_.Null();
    if (token == "true" || token == "false") return handler_.Bool(token == "true");
    if (!Json::IsNumber(token)) {
      at_ = begin;
      FailHere("a value");
    }
    handler_.Number(token);
  }

  // The string that starts here, unescaped. Without escapes it is a piece of the text, else it lies in `unescaped_`.
  std::string_view String() {
    const size_t open = at_++;
    size_t begin = at_;
    bool plain = true;
    while (true) {
      while (at_ < text_.size() && !kStops[static_cast<unsigned char>(text_[at_])]) ++at_;
      if (at_ == text_.size()) Fail("expected the closing quote of the string that starts here, found the end", open);
      const std::string_view piece = text_.substr(begin, at_ - begin);
      if (text_[at_] == '"') {
        ++at_;
        if (plain) return piece;
        unescaped_ += piece;
        return unescaped_;
      }
      if (text_[at_] != '\\') Fail("expected a string, found a control character in it", at_);
      if (plain) unescaped_.clear();
      plain = false;
      unescaped_ += piece;
      Escape();
      begin = at_;
    }
  }

  void Escape() {
    const size_t begin = at_++;
    const char c = Peek();
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const size_t known = kFrom.find(c); c != '\0' && known != std::string_view::npos) {
      unescaped_ += kTo[known];
      ++at_;
      return;
    }
    if (c != 'u') Fail("expected an escape sequence of JSON, found another one", begin);
    unsigned code = Unit(begin);
    if (code >= 0xd800 && code <= 0xdbff && text_.substr(at_, 2) == "\\u") {
      const size_t second = at_++;
      const unsigned low = Unit(second);
      if (low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      } else {
        at_ = second;  // the first half stands alone, and what follows is a character of its own
      }
    }
    AppendUtf8(unescaped_, code);
  }

  // Reads "uXXXX".
  unsigned Unit(size_t begin) {
    ++at_;
    unsigned unit = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) Fail("expected four hexadecimal digits after \\u, found fewer", begin);
      unit = unit << 4 | static_cast<unsigned>(digit);
    }
    return unit;
  }

  [[noreturn]] void FailHere(const std::string& expected) {
    SkipSpace();
    if (at_ == text_.size()) Fail("expected " + expected + ", found the end", at_);
    size_t end = at_;
    while (end < text_.size() && end - at_ < 24 &&
           std::string_view(" \t\r\n,:{}[]\"").find(text_[end]) == std::string_view::npos) {
      end += Utf8Length(text_, end);
    }
    Fail("expected " + expected + ", found " + Quote(text_.substr(at_, std::max<size_t>(end - at_, 1))), at_);
  }

  [[noreturn]] void Fail(const std::string& what, size_t at) {
    const std::string_view before = text_.substr(0, at);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t line_break = before.rfind('\n');
    const size_t column = line_break == std::string_view::npos ? at + 1 : at - line_break;
    throw Error(code_, name_ + ": line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + what,
                "mend the file there, or fetch it again");
  }

  const std::string_view text_;
  const std::string& name_;
  const ErrorCode code_;
  const int max_depth_;
  JsonHandler& handler_;
  size_t at_ = 0;
  std::string unescaped_;
};

}  // namespace

void ParseJsonEvents(std::string_view text, const std::string& name, ErrorCode code, int max_depth,
                     JsonHandler& handler) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  Walker(text, name, code, max_depth, handler).Run();
}

}  // namespace modelslim
