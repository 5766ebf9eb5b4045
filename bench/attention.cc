// Causal attention: GFLOP/s (the scores and values that a causal row needs, 4 * dim for each pair of rows), and the
// share of the matrix product's rate on [tokens, 1536] x [1536, 1536], measured in the same run.
//
//   bench_attention     rates are per CPU second of one thread, best of five
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "ratio.h"
#include "thread_seconds.h"

namespace modelslim {
namespace {

constexpr int64_t kTokens = 4096;

Tensor Filled(DType dtype, int64_t rows, int64_t cols) {
  Tensor made(DType::kF32, {rows, cols});
  float* const values = made.as<float>();
  for (int64_t i = 0; i < made.size(); ++i) values[i] = std::sin(static_cast<float>(i % 9973) * 1.7f);
  return ConvertTo(made.view(), dtype);
}

double ProductRate(DType dtype) {
  const Tensor x = Filled(dtype, kTokens, 1536), w = Filled(dtype, 1536, 1536);
  Tensor y(dtype, {kTokens, 1536});
  const PackedWeight packed(w.view(), dtype);
  return 2e-9 * kTokens * 1536 * 1536 / BestSeconds([&] { packed.Apply(x.view(), {}, y.view()); });
}

void Measure(DType dtype, const AttentionShape& shape, int64_t length, double product) {
  const Tensor q = Filled(dtype, kTokens, shape.heads * shape.dim),
               k = Filled(dtype, kTokens, shape.kv_heads * shape.dim);
  const Tensor v = Filled(dtype, kTokens, shape.kv_heads * shape.v_dim);
  Tensor out(dtype, {kTokens, shape.heads * shape.v_dim});
  std::vector<int64_t> offsets;
  for (int64_t t = 0; t <= kTokens; t += length) offsets.push_back(t);
  const double seconds =
      BestSeconds([&] { CausalAttention(shape, q.view(), k.view(), v.view(), offsets, out.view()); });
  const double pairs = static_cast<double>(kTokens) * static_cast<double>(length + 1) / 2;
  const double rate = 2e-9 * pairs * static_cast<double>(shape.heads * (shape.dim + shape.v_dim)) / seconds;
  std::printf("%-5s heads %3ld/%-3ld dim %3ld  %5ld tokens a sample  %7.1f GFLOP/s  %5.1f %% of the product's rate\n",
              std::string(DTypeName(dtype)).c_str(), static_cast<long>(shape.heads), static_cast<long>(shape.kv_heads),
              static_cast<long>(shape.dim), static_cast<long>(length), rate, 100 * rate / product);
  PrintRatio("attention of " + std::string(DTypeName(dtype)) + ", heads of " + std::to_string(shape.dim) +
                 ", samples of " + std::to_string(length) + ": rate / a product's",
             rate / product);
}

}  // namespace
}  // namespace modelslim

int main() {
  using modelslim::DType;
  modelslim::SetComputeThreads(1);
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const double product = modelslim::ProductRate(dtype);
    std::printf("%-5s matrix product %.1f GFLOP/s\n", std::string(modelslim::DTypeName(dtype)).c_str(), product);
    for (const int64_t length : {256, 512, 2048}) {
      modelslim::Measure(dtype, {12, 2, 128, 128, 0.088f}, length, product);
      modelslim::Measure(dtype, {9, 3, 64, 64, 0.125f}, length, product);
    }
  }
  return 0;
}
