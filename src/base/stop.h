// A request to stop, from Ctrl-C or a caller: long loops ask between pieces of work.
#pragma once

#include <exception>

namespace modelslim {

// Thrown by ThrowIfStopped. Not an Error: nothing is wrong.
class Stopped : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped on request"; }
};

// Safe in a signal handler.
void RequestStop();
bool StopRequested();
void ClearStopRequest();
void ThrowIfStopped();

}  // namespace modelslim
