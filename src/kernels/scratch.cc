#include "kernels/scratch.h"

#include <algorithm>
#include <array>

#include "tensor/tensor.h"

namespace modelslim {

void* ThreadScratch(ScratchUse use, size_t bytes) {
  thread_local std::array<Tensor, static_cast<size_t>(ScratchUse::kCount)> buffers;
  Tensor& buffer = buffers[static_cast<size_t>(use)];
  if (!buffer || buffer.bytes() < bytes) {
    buffer = Tensor();
    buffer = Tensor(DType::kU8, {static_cast<int64_t>(std::max<size_t>(bytes, 4096))});
  }
  return buffer.view().data;
}

}  // namespace modelslim
