// Matrix products: GFLOP/s of every kernel that this machine can run, and the share of its peak, measured in the same
// run.
//
//   bench_gemm [MxNxK ...]      rates are per CPU second of one thread, best of five: other programs disturb them
//   little
#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/backend.h"
#include "kernels/gemm.h"
#include "kernels/native/blocked_gemm.h"
#include "kernels/native/micro_kernel.h"
#include "kernels/onednn/onednn_gemm.h"
#include "ratio.h"
#include "thread_seconds.h"

namespace modelslim {
namespace {

Tensor Random(DType dtype, const Shape& shape, unsigned seed) {
  Tensor made(DType::kF32, shape);
  float* const values = made.as<float>();
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t i = 0; i < made.size(); ++i) values[i] = uniform(generator);
  return ConvertTo(made.view(), dtype);
}

// The machine's peak as far as a program can see it: the micro kernel on operands that stay in the first-level cache.
double PeakRate(const MicroKernel& kernel) {
  constexpr int64_t kDepth = 128, kCalls = 20000;
  const Tensor a = Random(kernel.compute, {kernel.rows, kDepth}, 1),
               b = Random(kernel.compute, {kDepth, kernel.cols}, 2);
  Tensor c(DType::kF32, {kernel.rows, kernel.cols});
  const MicroKernel::Call call{.depth = kDepth,
                               .rows = kernel.rows,
                               .a = a.view().data,
                               .a_stride = kDepth,
                               .b = b.view().data,
                               .c = c.as<float>(),
                               .c_stride = kernel.cols,
                               .add = false,
                               .alpha = 1.0f};
  const double seconds = BestSeconds([&] {
    for (int64_t i = 0; i < kCalls; ++i) kernel.run(call);
  });
  return 2e-9 * static_cast<double>(kCalls * kDepth * kernel.rows * kernel.cols) / seconds;
}

double Peak(DType compute) {
  const MicroKernel* kernel = BestMicroKernel(compute);
  return kernel != nullptr ? PeakRate(*kernel) : 0;
}

struct Size {
  int64_t m, n, k;
};

// Returns the share of the peak.
double Print(const char* type, std::string_view kernel, const Size& size, double seconds, double pack_seconds,
             double peak) {
  const double rate = 2e-9 * static_cast<double>(size.m * size.n * size.k) / seconds;
  std::printf("%-5s %-12.*s %6ld x %6ld x %6ld  %7.1f GFLOP/s  %5.1f %% of peak  pack %7.2f ms\n", type,
              static_cast<int>(kernel.size()), kernel.data(), static_cast<long>(size.m), static_cast<long>(size.n),
              static_cast<long>(size.k), rate, 100 * rate / peak, 1e3 * pack_seconds);
  return rate / peak;
}

// Returns the share of the kernel that products of this type use.
double Measure(DType dtype, const Size& size) {
  double share = 0;
  const Tensor x = Random(dtype, {size.m, size.k}, 3), w = Random(dtype, {size.n, size.k}, 4);
  Tensor y(dtype, {size.m, size.n});
  const double peak = std::max(Peak(dtype == DType::kBF16 ? DType::kBF16 : DType::kF32), Peak(DType::kF32));
  for (const GemmBackend& backend : GemmBackends()) {
    const bool runs = backend.name == "onednn" ? OneDnnCannot(dtype, dtype).empty()
                                               : backend.declines(dtype, dtype).empty() && backend.name != "reference";
    if (!runs) continue;
    std::unique_ptr<PackedB> packed;
    const double pack = BestSeconds([&] {
      packed.reset();
      packed = backend.pack(w.view(), dtype);
    });
    const double seconds = BestSeconds([&] { packed->Apply(x.view(), {}, y.view()); });
    const double own = Print(std::string(DTypeName(dtype)).c_str(), backend.name, size, seconds, pack, peak);
    if (share == 0 && backend.declines(dtype, dtype).empty()) share = own;
  }
  return share;
}

void MeasureGram(int64_t tokens, int64_t columns) {
  const Tensor x = Random(DType::kF32, {tokens, columns}, 5);
  Tensor h(DType::kF32, {columns, columns});
  const double seconds = BestSeconds([&] { MatMul(x.view(), x.view(), h.view(), {.transpose_a = true}); });
  Print("F32", "x^T x", {columns, columns, tokens}, seconds, 0, Peak(DType::kF32));
}

int Run(int argc, char** argv) {
  SetComputeThreads(1);
  for (const MicroKernel& kernel : ArchMicroKernels()) {
    if (kernel.supported()) std::printf("peak of %-18s %7.1f GFLOP/s\n", kernel.name, PeakRate(kernel));
  }
  std::printf("peak of %-18s %7.1f GFLOP/s\n", ScalarMicroKernel().name, PeakRate(ScalarMicroKernel()));
  std::vector<Size> sizes;
  for (int i = 1; i < argc; ++i) {
    long m, n, k;
    if (std::sscanf(argv[i], "%ldx%ldx%ld", &m, &n, &k) != 3 || m <= 0 || n <= 0 || k <= 0) {
      std::fprintf(stderr, "%s is no shape MxNxK\n", argv[i]);
      return 2;
    }
    sizes.push_back({m, n, k});
  }
  if (sizes.empty()) {
    sizes = {{2048, 1536, 1536}, {2048, 8960, 1536}, {2048, 1536, 8960},
             {256, 1536, 1536},  {16, 1536, 1536},   {1, 8960, 1536}};
  }
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const Size& size : sizes) {
      PrintRatio("product of " + std::string(DTypeName(dtype)) + ", " + std::to_string(size.m) + " x " +
                     std::to_string(size.n) + " x " + std::to_string(size.k) + ": rate / that of its inner loop alone",
                 Measure(dtype, size));
    }
  }
  MeasureGram(4096, 1536);
  return 0;
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) { return modelslim::Run(argc, argv); }
