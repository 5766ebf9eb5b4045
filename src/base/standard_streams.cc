#include "base/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "base/printable.h"

namespace modelslim {
namespace {

constexpr size_t kFlushAt = size_t{64} << 10;

[[noreturn]] void ThrowNotPrinted(int code) {
  throw Error(ErrorCode::kUnexpected, std::string("cannot write to the standard output: ") + std::strerror(code),
              code == ENOSPC || code == EDQUOT ? "free some space where the output goes, and run the command again"
              : code == EPIPE                  ? "keep the reading end open until the command has ended"
                                               : "check where the standard output goes");
}

// The number that open() gives is the lowest free one, so the three are filled in order.
void OpenIfClosed(int descriptor, int flags) {
  if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return;
  // Without /dev (a bare chroot): a directory holds the number, and writing to it fails as it should.
  if (open("/dev/null", flags) < 0 && open("/", O_RDONLY | O_DIRECTORY) < 0) _exit(1);
}

}  // namespace

void OpenStandardStreams() {
  OpenIfClosed(STDIN_FILENO, O_RDONLY);
  OpenIfClosed(STDOUT_FILENO, O_WRONLY);
  OpenIfClosed(STDERR_FILENO, O_WRONLY);
  // Never destroyed: the library flushes its streams after main has returned.
  static auto* const out =
      new StandardBuffer(STDOUT_FILENO, isatty(STDOUT_FILENO) != 0, StandardBuffer::OnFailure::kThrow);
  static auto* const err =
      new StandardBuffer(STDERR_FILENO, isatty(STDERR_FILENO) != 0, StandardBuffer::OnFailure::kIgnore);
  std::cout.rdbuf(out);
  std::cerr.rdbuf(err);
  std::cout.exceptions(std::ios::badbit);  // the Error of the buffer goes through to whoever prints
  std::cerr.tie(nullptr);                  // a message must not fail because the standard output does
}

void CloseStandardOutput() {
  if (auto* const buffer = dynamic_cast<StandardBuffer*>(std::cout.rdbuf())) buffer->Finish();
  // Some file systems say only now that there was no room.
  if (close(STDOUT_FILENO) != 0 && errno != EBADF && errno != EINTR) ThrowNotPrinted(errno);
}

std::ostream& operator<<(std::ostream& out, Style style) {
  if (auto* const buffer = dynamic_cast<StandardBuffer*>(out.rdbuf())) buffer->SetStyle(style);
  return out;
}

StandardBuffer::StandardBuffer(int descriptor, bool styled, OnFailure on_failure)
    : descriptor_(descriptor), styled_(styled), on_failure_(on_failure) {}

StandardBuffer::~StandardBuffer() {
  try {
    Flush(/*all=*/true);
  } catch (const Error&) {  // whoever wants to know calls Finish before
  }
}

void StandardBuffer::Finish() {
  Flush(/*all=*/true);
  if (failure_ != 0) ThrowNotPrinted(failure_);
}

void StandardBuffer::SetStyle(Style style) {
  if (!styled_) return;
  Flush(/*all=*/true);
  switch (style) {
    case Style::kPlain:
      return Write("\033[0m");
    case Style::kBold:
      return Write("\033[1m");
    case Style::kError:
      return Write("\033[1;31m");
    case Style::kWarning:
      return Write("\033[1;33m");
  }
}

StandardBuffer::int_type StandardBuffer::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char character = traits_type::to_char_type(c);
  xsputn(&character, 1);
  return c;
}

std::streamsize StandardBuffer::xsputn(const char* text, std::streamsize size) {
  waiting_.append(text, static_cast<size_t>(size));
  if (waiting_.size() >= kFlushAt) Flush(/*all=*/false);
  return size;
}

int StandardBuffer::sync() {
  Flush(/*all=*/false);
  return 0;
}

void StandardBuffer::Flush(bool all) {
  const size_t kept = all ? 0 : IncompleteUtf8Tail(waiting_);
  const std::string_view whole = std::string_view(waiting_).substr(0, waiting_.size() - kept);
  const std::string text = Printable(whole);
  waiting_.erase(0, whole.size());
  Write(text);
}

void StandardBuffer::Write(std::string_view bytes) {
  while (!bytes.empty() && failure_ == 0) {
    const ssize_t put = write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      if (on_failure_ == OnFailure::kIgnore) return;
      failure_ = errno;
      ThrowNotPrinted(failure_);
    }
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

}  // namespace modelslim
