#include "kernels/native/micro_kernel.h"

namespace modelslim {
namespace {

constexpr int kRows = 4, kCols = 8;

// Left to the compiler's baseline vectors. Always four rows of accumulators; rows beyond call.rows repeat the last one.
void Run(const MicroKernel::Call& call) {
  const float* b = static_cast<const float*>(call.b);
  const float* a[kRows];
  for (int i = 0; i < kRows; ++i) {
    a[i] = static_cast<const float*>(call.a) + (i < call.rows ? i : call.rows - 1) * call.a_stride;
  }
  float sum[kRows][kCols] = {};
  for (int64_t k = 0; k < call.depth; ++k, b += kCols) {
    for (int i = 0; i < kRows; ++i) {
      const float value = a[i][k];
#pragma omp simd
      for (int j = 0; j < kCols; ++j) sum[i][j] += value * b[j];
    }
  }
  for (int i = 0; i < call.rows; ++i) {
    float* c = call.c + i * call.c_stride;
    for (int j = 0; j < kCols; ++j) c[j] = call.add ? c[j] + call.alpha * sum[i][j] : call.alpha * sum[i][j];
  }
}

}  // namespace

const MicroKernel& ScalarMicroKernel() {
  static constexpr MicroKernel kKernel{"scalar_f32", DType::kF32, kRows, kCols, [] { return true; }, Run};
  return kKernel;
}

const MicroKernel* BestMicroKernel(DType compute) {
  for (const MicroKernel& kernel : ArchMicroKernels()) {
    if (kernel.compute == compute && kernel.supported()) return &kernel;
  }
  return compute == DType::kF32 ? &ScalarMicroKernel() : nullptr;
}

const MicroKernel* BestMicroKernelFor(DType compute, int64_t columns) {
  const auto padding = [&](const MicroKernel& kernel) { return (kernel.cols - columns % kernel.cols) % kernel.cols; };
  const MicroKernel* best = BestMicroKernel(compute);
  if (best == nullptr) return nullptr;
  const auto* const first = best;
  for (const MicroKernel& kernel : ArchMicroKernels()) {
    // Kernels of one instruction set differ in the tile alone and give the same bits.
    const bool same_set = kernel.supported == first->supported && kernel.compute == compute;
    if (same_set && padding(kernel) < padding(*best)) best = &kernel;
  }
  return best;
}

}  // namespace modelslim
