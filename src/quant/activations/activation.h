// Activation quantizers as calibration sees them: each sample updates the statistics and is then fake-quantized with
// what has been seen so far, itself included. Samples come packed: x is [tokens, cols], sample i holds rows
// [offsets[i], offsets[i+1]). Ranges are taken per sample in parallel, scanned in order, and the fake quantization is
// one parallel pass; results depend on the order of samples, never on how many come in one call or on the threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/terms.h"
#include "quant/numbers/affine.h"
#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

enum class ActivationScope : uint8_t {
  kPerTensor,   // static: running range of all samples
  kPerToken,    // dynamic; while calibrating the reference uses one range per sample
  kPdMix,       // static asymmetric parameters for decode; calibration output uses a symmetric range per sample
  kPerChannel,  // per column of the current sample (KV cache); parameters are those of the last sample
  kPerBlock,    // MX: nothing is observed and calibration returns x unchanged
  kDualScale,   // MX with an outer scale: the same
};
enum class ActivationMethod : uint8_t { kMinMax, kHistogram };

struct ActivationSpec {
  ActivationScope scope = ActivationScope::kPerTensor;
  ElementFormat format = ElementFormat::kInt8;
  bool symmetric = true;
  ActivationMethod method = ActivationMethod::kMinMax;
  Aggregation aggregation = Aggregation::kMax;  // static ranges and the decode half of pd_mix
  int64_t dual_block_size = 0;                  // kDualScale
};
// Throws Error(kUnsupported) for a combination that has no quantizer.
void CheckActivationSpec(const ActivationSpec& spec);
// True when calibration needs no data: per_token, per_block and dual_scale.
bool IsDataFree(const ActivationSpec& spec);

class ActivationQuantizer {
 public:
  explicit ActivationQuantizer(const ActivationSpec& spec);
  ~ActivationQuantizer();
  ActivationQuantizer(ActivationQuantizer&&) noexcept;
  ActivationQuantizer& operator=(ActivationQuantizer&&) noexcept;

  const ActivationSpec& spec() const;

  // Observes the samples in order and writes the fake-quantized rows to `out` (type and shape of x; may be x itself;
  // null data: observe only). A sample without rows is skipped: for the reference that is a forward pass that never
  // happened (an expert that no token reached). Throws Error(kInvalidDataset) when the histogram meets a sample with
  // nothing finite in it.
  void Calibrate(const ConstView& x, std::span<const int64_t> offsets, const View& out);

  // Samples with rows seen so far. A static quantizer that has seen none has no parameters.
  int64_t samples() const;
  // The static parameters (kPerTensor, kPdMix decode) after the last sample; one scale and offset. Empty for dynamic
  // scopes and before the first sample. kPerChannel: one per column, axis kColumn.
  std::optional<AffineTable> params() const;
  // The range behind them: the running one, or what the histogram last clipped to.
  Range range() const;
  // For a static quantizer that has seen no sample: parameters from the hull of the ranges of `others`, of the same
  // specification. False, and nothing is changed, when none of them has seen any.
  bool Pool(std::span<const ActivationQuantizer* const> others);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// What the activations of a deployed (already quantized) layer become when a later processor runs a forward pass
// through it. Each sample is one call of the layer.
//   kPerTensor: the static parameters `fixed`; f32 result (rounded to the dtypes of the parameters on the way).
//   kPerToken, kPdMix: the reference takes min and max over the tokens of the call, so every hidden channel has its own
//     symmetric scale; f32 result. With true_per_token (what AutoRound's int4 and per-group layers do) each row has its
//     own.
//   kPerBlock, kDualScale: MX per block of 32 columns in the dtype of x; the result keeps it.
// out: shape of x; f32 for the first two, else type of x (any float type is accepted and rounded to).
struct DeployedActivation {
  ActivationSpec spec;
  AffineTable fixed;
  bool true_per_token = false;
  int bits = 8;  // 4 for int4 activations (spec.format kInt8 or kInt4)
  bool december_2025 = false;
};
void FakeQuantizeDeployed(const DeployedActivation& activation, const ConstView& x, std::span<const int64_t> offsets,
                          const View& out);

}  // namespace modelslim
