#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <new>

#include "base/error.h"
#include "base/stop.h"

namespace modelslim {
namespace {

constexpr size_t kMaxPattern = 64 << 10;
// Steps of one match before a pattern is declared runaway. The honest worst case is a text of one megabyte of blanks
// that
// `\s*[\r\n]+` walks back over.
constexpr uint32_t kMatchLimit = 20'000'000;

struct FreeCode {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
};

// What a match needs besides the pattern. One per thread: it belongs to no pattern.
struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 16 << 20, nullptr);
  MatchState() {
    if (data == nullptr || context == nullptr || stack == nullptr) {
      Free();
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() { Free(); }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;

 private:
  void Free() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

std::string Message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

Regex::Regex(std::string_view pattern, std::string_view where) : pattern_(pattern), where_(where) {
  if (pattern.size() > kMaxPattern) {
    throw Error(ErrorCode::kUnsupported, where_ + ": a regular expression of " + std::to_string(pattern.size()) +
                                             " bytes; at most " + std::to_string(kMaxPattern) + " are supported");
  }
  const std::string translated = TranslateRegex(pattern, where);
  std::unique_ptr<pcre2_compile_context, FreeCompileContext> context(pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE offset = 0;
  code_ = std::make_unique<Code>();
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset,
                                  context.get()));
  if (!code_->code) {
    throw Error(ErrorCode::kUnsupported, where_ + ": cannot use the regular expression \"" + pattern_ +
                                             "\": " + Message(code) + " at byte " + std::to_string(offset) + " of \"" +
                                             translated + "\"");
  }
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);  // where it fails, the interpreter runs
}

Regex::~Regex() = default;

void Regex::FindAll(std::string_view text, std::vector<TextRange>& matches) const {
  thread_local MatchState state;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(state.data);
  size_t from = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    ThrowIfStopped();
    int rc = pcre2_match(code_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, state.data, state.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      rc = pcre2_match(code_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data,
                       state.context);
    }
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0) {
      throw Error(ErrorCode::kUnsupported,
                  where_ + ": the regular expression \"" + pattern_ + "\" gave up: " + Message(rc));
    }
    // A lookbehind with \K could report a match that starts behind its end; nothing sensible can be done with it.
    const size_t begin = std::min<size_t>(found[0], found[1]);
    const size_t end = found[1];
    if (begin == end && end == last_end) {
      if (from >= text.size()) return;
      ++from;
      while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    from = last_end = end;
    matches.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }
}

}  // namespace modelslim
