// The steps that rewrite weights, against what bounds them on this machine.
//
//   bench_rewrite [flex|gptq|rotate|sparse ...] [hidden=4096] [tokens=8192]
//
// Without names, all of them. Ratios are the interesting numbers: a job's time over that of the plain work it cannot
// avoid.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/moments/cholesky.h"
#include "quant/moments/gptq.h"
#include "quant/moments/sparse.h"
#include "quant/rotation/rotation_apply.h"
#include "quant/smoothing/smooth_search.h"
#include "quant/smoothing/smooth_trial.h"
#include "ratio.h"

namespace modelslim {
namespace {

template <class F>
double Seconds(const F& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class F>
double Best(int rounds, const F& work) {
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) best = std::min(best, Seconds(work));
  return best;
}

// Sums of a few uniform numbers: roughly normal, the same everywhere, quick to make.
Tensor Noise(DType dtype, int64_t rows, int64_t cols, uint64_t seed) {
  Tensor tensor(dtype, {rows, cols});
  ParallelRanges(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      uint64_t state = seed * 1000003 + static_cast<uint64_t>(r) * 7919 + 1;
      for (int64_t c = 0; c < cols; ++c) {
        float sum = 0;
        for (int i = 0; i < 4; ++i) {
          state = state * 6364136223846793005u + 1442695040888963407u;
          sum += static_cast<float>(state >> 40) * 0x1p-24f - 0.5f;
        }
        WithModelDType(dtype, [&](auto tag) {
          using T = decltype(tag);
          tensor.as<T>()[r * cols + c] = From<T>(sum);
        });
      }
    }
  });
  return tensor;
}

// Every 61st channel is 20 times louder, as in language models.
void MakeLoud(Tensor* act) {
  const int64_t cols = act->view().cols();
  for (int64_t i = 0; i < act->size(); ++i) {
    if (i % cols % 61 == 5) act->as<BF16>()[i] = ToBF16(20 * ToF32(act->as<BF16>()[i]));
  }
}

void Flex(int64_t hidden, int64_t tokens) {
  for (const bool loud : {false, true}) {
    Tensor act = Noise(DType::kBF16, tokens, hidden, 1);
    if (loud) MakeLoud(&act);
    const Tensor weight = Noise(DType::kBF16, hidden, hidden, 2);
    Tensor y(DType::kBF16, {tokens, hidden});
    const double product = Best(3, [&] { Linear(act.view(), weight.view(), {}, y.view()); });
    const ConstView view = weight.view();
    FlexSearchResult result;
    const double search = Best(2, [&] { result = FlexSmoothSearch(act.view(), {&view, 1}); });
    const std::string kind = loud ? "loud channels" : "no features";
    std::printf("flex_smooth search, %s, bf16: %.2f s, alpha %.2f, beta %.2f; one product %.3f s\n", kind.c_str(),
                search, result.alpha, result.beta, product);
    PrintRatio("flex_smooth search, " + ShapeText(act.shape()) + " activations with " + kind + ": time / 42 products",
               search / (42 * product), "at most 0.6");
  }
}

void Gptq(int64_t n, int64_t tokens) {
  const Tensor x = Noise(DType::kBF16, tokens, n, 3);
  Hessian hessian(n);
  const double moment = Seconds([&] { hessian.Add(x.view()); });
  const Tensor h = hessian.Value();
  Tensor c(DType::kF32, {n, n});
  const double rate =
      2.0 * std::pow(static_cast<double>(n), 3) / Best(3, [&] { MatMul(h.view(), h.view(), c.view()); });
  const double cube = std::pow(static_cast<double>(n), 3);
  // Factor and inverse of it, and the updates of the columns still to come.
  const double bound = (2.0 / 3 * cube + cube) / rate;
  const double factor = Best(2, [&] { InverseUpperFactor(h.view()); });
  std::printf("Hessian of %ld tokens, n %ld: %.2f s; f32 product %.0f GFLOP/s; factor %.2f s\n",
              static_cast<long>(tokens), static_cast<long>(n), moment, rate * 1e-9, factor);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor weight = Noise(dtype, n, n, 4);
    for (const int64_t group : {int64_t{0}, int64_t{128}}) {
      const double took = Best(2, [&] { modelslim::Gptq(weight.view(), h.view(), {.bits = 4, .group_size = group}); });
      const std::string what = "GPTQ of " + std::string(DTypeName(dtype)) + " " + ShapeText(weight.shape()) + " int4 " +
                               (group == 0 ? "per_channel" : "per_group");
      std::printf("%s: %.2f s\n", what.c_str(), took);
      PrintRatio(what + ": time / its operations at the f32 product's rate", took / bound, "at most 2");
    }
  }
}

void Rotate(int64_t hidden) {
  for (const int64_t n : {hidden, int64_t{5120}, int64_t{1536}}) {
    const Rotation rotation = Rotation::Make(n);
    Tensor wide = Noise(DType::kBF16, n, n, 5);
    const double copy = Best(3, [&] { wide.Clone(); });
    const double right = Best(3, [&] { RotateRight(wide.view(), rotation); });
    const double left = Best(3, [&] { RotateLeft(wide.view(), {}, rotation); });
    const double gigabytes = static_cast<double>(wide.bytes()) * 1e-9;
    std::printf("rotate bf16 [%ld, %ld]: right %.2f GB/s, left %.2f GB/s of weights (clone %.1f)\n",
                static_cast<long>(n), static_cast<long>(n), gigabytes / right, gigabytes / left, gigabytes / copy);
    for (const auto& [side, seconds] : {std::pair{"right", right}, std::pair{"left", left}}) {
      PrintRatio("rotation of BF16 " + ShapeText(wide.shape()) + " from the " + side + ": speed / a clone's",
                 copy / seconds);
    }
  }
}

void Sparse(int64_t n) {
  const Tensor x = Noise(DType::kBF16, 2048, n, 6), weight = Noise(DType::kF16, n, n, 7);
  SparseStats stats(n);
  stats.Add({x.view().data, x.dtype(), {1, 2048, n}});
  Tensor c(DType::kF32, {n, n});
  const double product = Best(2, [&] { MatMul(stats.Moment().view(), stats.Moment().view(), c.view()); });
  const double took = Seconds([&] { AdmmSparsify(weight.view(), stats); });
  std::printf("float_sparse [%ld, %ld]: %.2f s\n", static_cast<long>(n), static_cast<long>(n), took);
  PrintRatio("float_sparse of " + ShapeText(weight.shape()) + ": time / (21 products and the inverse)",
             took / (21.5 * product));
}

int Run(int argc, char** argv) {
  int64_t hidden = 4096, tokens = 8192;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "hidden=", 7) == 0) {
      hidden = std::atoll(argv[i] + 7);
    } else if (std::strncmp(argv[i], "tokens=", 7) == 0) {
      tokens = std::atoll(argv[i] + 7);
    } else {
      names.emplace_back(argv[i]);
    }
  }
  const auto wanted = [&](const char* name) { return names.empty() || std::ranges::find(names, name) != names.end(); };
  std::printf("threads %d\n", ComputeThreads());
  if (wanted("rotate")) Rotate(hidden);
  if (wanted("gptq")) Gptq(hidden, tokens);
  if (wanted("sparse")) Sparse(hidden);
  if (wanted("flex")) Flex(hidden, tokens);
  return 0;
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) { return modelslim::Run(argc, argv); }
