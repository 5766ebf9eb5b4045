#include "kernels/native/micro_kernel.h"

namespace modelslim {

// An architecture without kernels of its own: the scalar one serves.
std::span<const MicroKernel> ArchMicroKernels() { return {}; }

}  // namespace modelslim
