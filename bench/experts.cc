// The experts of a mixture as calibration runs them (routing, gathering, gated MLPs, scattering), against the best rate
// of their three products at the mean number of tokens of an expert. Shapes of Qwen3-30B-A3B.
//
//   bench_experts [tokens=8192]     rates are per CPU second of one thread
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "model/families/decoder_family.h"
#include "model/parts/layout_builder.h"
#include "model/parts/moe_config.h"
#include "ratio.h"
#include "thread_seconds.h"

namespace modelslim {
namespace {

constexpr int64_t kHidden = 2048, kWidth = 768, kExperts = 128, kTopK = 8;

// Sums of a few uniform numbers: roughly normal, and quick to make.
Tensor Noise(const Shape& shape, float scale, uint64_t seed) {
  Tensor made(DType::kBF16, shape);
  BF16* const values = made.as<BF16>();
  uint64_t state = seed * 7919 + 1;
  for (int64_t i = 0; i < made.size(); ++i) {
    float sum = 0;
    for (int k = 0; k < 3; ++k) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<float>(state >> 40) * 0x1p-24f - 0.5f;
    }
    values[i] = ToBF16(scale * sum);
  }
  return made;
}

// Weights in memory, as those of a mapped file.
class MemorySource : public WeightSource {
 public:
  explicit MemorySource(const BlockInfo& block) {
    for (const ModuleInfo& module : block.modules) {
      for (const ParamInfo& param : module.params) {
        weights_.emplace(param.name, Noise(param.shape, 0.05f, weights_.size() + 1));
      }
    }
  }
  std::optional<SharedTensor> Map(const ParamInfo& param) const override { return weights_.at(param.name); }
  Tensor Load(const ParamInfo& param) const override { return Tensor::Copy(weights_.at(param.name).view()); }
  void WillNeed(const ParamInfo&) const override {}
  void DontNeed(const ParamInfo&) const override {}

 private:
  std::map<std::string, SharedTensor> weights_;
};

BlockInfo OneLayer() {
  BlockInfo info;
  info.name = LayerName(0);
  info.modules.push_back(LinearInfo(info.name + ".mlp.gate", kExperts, kHidden, DType::kBF16));
  for (int64_t e = 0; e < kExperts; ++e) {
    AddGatedMlp(&info.modules, info.name + ".mlp.experts." + std::to_string(e), kHidden, kWidth, DType::kBF16);
  }
  return info;
}

// Floating-point operations a second of the products alone, for `rows` tokens in each expert, weights prepared.
double ProductRate(int64_t rows) {
  double seconds = 0, work = 0;
  for (const auto& [out, in] : {std::pair{kWidth, kHidden}, std::pair{kWidth, kHidden}, std::pair{kHidden, kWidth}}) {
    const Tensor x = Noise({rows, in}, 1.0f, 1), w = Noise({out, in}, 0.05f, 2);
    Tensor y(DType::kBF16, {rows, out});
    const PackedWeight packed(w.view(), DType::kBF16);
    seconds += BestSeconds([&] { packed.Apply(x.view(), {}, y.view()); });
    work += 2.0 * static_cast<double>(rows * out * in);
  }
  return work / seconds;
}

int Run(int64_t tokens) {
  SetComputeThreads(1);
  const BlockInfo info = OneLayer();
  const MemorySource source(info);
  Block block(info, source);
  for (const ModuleInfo& module : info.modules) block.Add(std::make_unique<LinearModule>(module, source));
  MoeConfig moe;
  moe.experts = kExperts;
  moe.top_k = kTopK;
  moe.intermediate = kWidth;
  moe.renormalize = true;
  const Tensor x = Noise({tokens, kHidden}, 1.0f, 3);
  const std::vector<int64_t> offsets = {0, tokens};
  const double work = 2.0 * static_cast<double>(tokens * kTopK * 3 * kHidden * kWidth);
  const int64_t mean = tokens * kTopK / kExperts;
  for (const bool keep : {false, true}) {
    double best = 0;
    for (int round = 0; round < 3; ++round) {
      const double rate = ProductRate(mean);
      ForwardContext context;
      context.groups = {offsets, 0};
      context.keep = keep ? Keep::kPacked : Keep::kValues;
      const auto unit = [&](const std::string& prefix, const ConstView& rows, const RowGroups& groups) {
        return GatedMlp(block, prefix, Activation::kSilu, rows, groups, context.keep);
      };
      const double seconds = SecondsOf([&] { SoftmaxMoe(moe, block, unit, x.view(), context); });
      std::printf("weights prepared %s: %.1f GFLOP/s, products of %ld rows alone %.1f GFLOP/s\n",
                  keep ? "once" : "in every call", work / seconds * 1e-9, static_cast<long>(mean), rate * 1e-9);
      best = std::max(best, work / seconds / rate);
    }
    PrintRatio(std::string("experts of Qwen3-30B, weights prepared ") + (keep ? "before" : "in the call") +
                   ": rate / that of their products",
               best, "at least 0.7");
  }
  return 0;
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) {
  const std::string prefix = "tokens=";
  const std::string word = argc > 1 ? argv[1] : prefix + "8192";
  const int64_t tokens = word.starts_with(prefix) ? std::atoll(word.c_str() + prefix.size()) : 0;
  if (tokens <= 0) {
    std::fprintf(stderr, "usage: bench_experts [tokens=8192]\n");
    return 2;
  }
  return modelslim::Run(tokens);
}
