// How far a run is: a bar with the time left on a terminal, a plain line now and then elsewhere. Written to stderr.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace modelslim {

// `total` is in any unit of work that grows evenly with time; Advance() may be called from any thread. One at a time.
class Progress {
 public:
  Progress(const std::string& title, double total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Adds `work` and says what is being done, for example "model.layers.3".
  void Advance(double work, const std::string& label);
  // Work that an earlier run already did: counts as done, not as speed.
  void Skip(double work);

  struct State;  // in the source file

 private:
  std::unique_ptr<State> state_;
};

// Clears the bar while it lives, so that other text can be printed.
class ProgressPause {
 public:
  ProgressPause();
  ~ProgressPause();
  ProgressPause(const ProgressPause&) = delete;
  ProgressPause& operator=(const ProgressPause&) = delete;
};

// "1 h 02 min", "3 min 05 s", "4.2 s".
std::string FormatDuration(double seconds);
// "3.21 GiB", "12.0 MiB", "512 B".
std::string FormatBytes(uint64_t bytes);

}  // namespace modelslim
