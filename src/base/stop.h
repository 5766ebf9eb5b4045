// A request to stop, from Ctrl-C or a caller: long loops ask between pieces of work.
#pragma once

#include <exception>

namespace modelslim {

// Thrown by ThrowIfStopped. Not an Error: nothing is wrong. what() is what the user reads; `text` must be a literal.
class Stopped : public std::exception {
 public:
  explicit Stopped(const char* text = "Stopped.") : text_(text) {}
  const char* what() const noexcept override { return text_; }

 private:
  const char* text_;
};

// Safe in a signal handler.
void RequestStop();
bool StopRequested();
void ThrowIfStopped();

}  // namespace modelslim
