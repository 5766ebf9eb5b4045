// How much memory there is, and how much of it this process uses.
#pragma once

#include <cstdint>
#include <memory>

namespace modelslim {

// What the machine offers to this process: physical memory, or a smaller limit of the cgroups it is in. Bytes.
uint64_t OfferedMemory();

// Anonymous (not file-backed) resident memory of the process now. Bytes; 0 where the system does not say.
uint64_t AnonymousMemory();

// Blocks of the heap from 64 KiB on come straight from the system and go straight back, and its free end is given back
// as it comes. glibc does so only until the first large block is freed: from then on it takes larger and larger ones
// from the heap, whose holes came to several times what was in use. For programs, before threads are started.
void KeepHeapSmall();

// Gives back to the system what the heap holds and nobody uses, as far as it can.
void ReturnFreeMemory();

// For moments when much is about to be freed: a PeakMemory that lives takes a sample now.
void LookAtMemory();

// Samples AnonymousMemory() every few milliseconds on a thread of its own while it lives. One at a time.
class PeakMemory {
 public:
  PeakMemory();
  ~PeakMemory();
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;
  uint64_t peak() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace modelslim
