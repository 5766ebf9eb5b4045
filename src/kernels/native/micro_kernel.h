// The innermost loops of the native matrix product, one per instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace modelslim {

// c[m][n] = sum over k of a[m][k] * b[k][n] for a tile of at most `rows` x exactly `cols` elements. Every element is
// one chain of multiply-adds in the order of k, whatever the number of rows.
//
// Layouts: a is row-major. b is a panel: for kF32 [depth][cols] floats; for kBF16 [depth/2][cols][2], two consecutive k
// side by side, depth even. c is f32, row-major.
struct MicroKernel {
  const char* name;
  DType compute;   // type of a and b: kF32, or kBF16
  int rows, cols;  // largest number of rows at once; columns of a panel
  bool (*supported)();

  struct Call {
    int64_t depth;  // of this call, in elements of k
    int rows;       // 1 .. rows
    const void* a;
    int64_t a_stride;  // elements between rows of a
    const void* b;     // 64-byte aligned
    float* c;
    int64_t c_stride;  // elements
    bool add;          // c += alpha * sum instead of c = alpha * sum
    float alpha;
  };
  void (*run)(const Call& call);
};

// Sums restart at least every so many elements of k, and the partial sums are added in order: less rounding error than
// one long chain. Measured (bench_gemm): longer blocks save visits to the sums, shorter ones keep a panel nearer to the
// core. Part of the definition of the result, hence the same for all kernels of a type.
inline constexpr int64_t kDepthF32 = 512;
inline constexpr int64_t kDepthBF16 = 1536;

// Of this architecture, best first, without regard to what this machine supports.
std::span<const MicroKernel> ArchMicroKernels();
const MicroKernel& ScalarMicroKernel();
// The best one that this machine supports; null when there is none (kBF16 only: the scalar f32 kernel always is).
const MicroKernel* BestMicroKernel(DType compute);
// The same for a product of few columns: of the machine's kernels of the best instruction set, the one with the least
// padding.
const MicroKernel* BestMicroKernelFor(DType compute, int64_t columns);

}  // namespace modelslim
