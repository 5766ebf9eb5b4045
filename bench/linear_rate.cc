// The best rate of our matrix products on given shapes, as calibration would use them: y[M,N] = x[M,K] w[N,K]^T.
//
//   bench_linear_rate DTYPE M NxK [NxK ...]     DTYPE: bf16, f32
//
// One line for each shape, and the rate over all of them (each as often as it is named).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "tensor/float16.h"

namespace modelslim {
namespace {

// Small integers, exact in every type.
Tensor Filled(DType dtype, int64_t rows, int64_t columns) {
  Tensor tensor(dtype, {rows, columns});
  const View view = tensor.view();
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float value = static_cast<float>((i * 7919) % 17 - 8) * 0.125f;
    if (dtype == DType::kF32) {
      view.as<float>()[i] = value;
    } else {
      view.as<BF16>()[i] = ToBF16(value);
    }
  }
  return tensor;
}

double BestSeconds(DType dtype, int64_t m, int64_t n, int64_t k) {
  const Tensor x = Filled(dtype, m, k), w = Filled(dtype, n, k);
  Tensor y(dtype, {m, n});
  const PackedWeight packed(w.view(), dtype);
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    packed.Apply(x.view(), ConstView{}, y.view());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (round > 0) best = std::min(best, took.count());
  }
  return best;
}

int Run(int argc, char** argv) {
  const DType dtype = std::strcmp(argv[1], "f32") == 0 ? DType::kF32 : DType::kBF16;
  const int64_t m = std::atoll(argv[2]);
  double flops = 0, seconds = 0;
  for (int i = 3; i < argc; ++i) {
    char* end = nullptr;
    const int64_t n = std::strtoll(argv[i], &end, 10), k = *end == 'x' ? std::atoll(end + 1) : 0;
    if (m <= 0 || n <= 0 || k <= 0) {
      std::fprintf(stderr, "%s is no shape NxK\n", argv[i]);
      return 2;
    }
    const double took = BestSeconds(dtype, m, n, k);
    const double work = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    std::printf("shape %lldx%lldx%lld gflops %.1f\n", static_cast<long long>(m), static_cast<long long>(n),
                static_cast<long long>(k), work / took * 1e-9);
    flops += work;
    seconds += took;
  }
  std::printf("all gflops %.1f\n", flops / seconds * 1e-9);
  return 0;
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: bench_linear_rate bf16|f32 M NxK [NxK ...]\n");
    return 2;
  }
  return modelslim::Run(argc, argv);
}
