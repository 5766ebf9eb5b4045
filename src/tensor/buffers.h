// The memory of tensors: large buffers are used again, since the first touch of fresh pages costs more than most of our
// loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace modelslim {

// 64-byte aligned memory of at least `bytes` bytes (more than 0); `capacity` gets what GiveBuffer() wants to be told.
// Null when there is none to be had. Thread-safe, as is GiveBuffer().
//
// What waits to be used again never makes the process larger than its tensors alone have made it: before fresh memory
// is taken, enough of it is given up. So the peak is that of the tensors in use.
std::byte* TakeBuffer(size_t bytes, size_t* capacity);
void GiveBuffer(std::byte* data, size_t capacity);

// Bytes of all buffers in use: now, and the most since the start or the last ResetTensorPeak().
struct TensorMemory {
  uint64_t now = 0, peak = 0;
};
TensorMemory MemoryOfTensors();
void ResetTensorPeak();

}  // namespace modelslim
