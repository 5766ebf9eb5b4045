// The live modules of a block. What a Linear does (float, observing, fake-quantized, deployed, rotated input) is its
// state, set by processors; a family's forward only says which module reads what.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "model/parameter.h"
#include "ops/norm.h"

namespace modelslim {

class FiniteWatch;
class LinearModule;

// Rows of a packed batch: sample s owns rows [offsets[s], offsets[s+1]); `first_sample` is the number of its first
// sample in the whole calibration set. Inside an expert the rows are those of the tokens that chose it, and a sample
// may have none. `watch` (may be null) looks at what the modules read and put out.
struct RowGroups {
  std::span<const int64_t> offsets;
  int64_t first_sample = 0;
  FiniteWatch* watch = nullptr;

  int64_t samples() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t rows() const { return offsets.back(); }
};

// Sees what enters a Linear, in sample order, chunk by chunk. Must not keep the view.
class InputObserver {
 public:
  virtual ~InputObserver() = default;
  virtual void Observe(const ConstView& x, const RowGroups& groups) = 0;
};

// Changes what enters a Linear (an online rotation), before observers and quantizers see it: returns the new input in
// x's dtype.
class InputTransform {
 public:
  virtual ~InputTransform() = default;
  virtual Tensor Apply(const ConstView& x) const = 0;
};

// Prepares the input of quantized Linears: running statistics plus fake quantization. Linears that read the same tensor
// and would compute the same share one (their statistics cannot differ).
class ActivationStage {
 public:
  virtual ~ActivationStage() = default;
  // The input as the quantized layer sees it; the result may be of another dtype.
  virtual Tensor Apply(const ConstView& x, const RowGroups& groups) = 0;
  // True when both would always give the same and neither has seen data yet.
  virtual bool SameAs(const ActivationStage& other) const = 0;
};

// How much of a Linear stays in memory when its product is done. Results never depend on it.
enum class Keep : uint8_t {
  kNothing,  // memory is short: what can be read or made again goes
  kValues,   // there is one chunk only: loaded values and codes stay, the prepared weight goes
  kPacked,   // the prepared weight stays too, for the next chunk
};

// Replaces the float forward of a Linear.
class LinearForward {
 public:
  virtual ~LinearForward() = default;
  // The shared part that prepares the input; may be null.
  virtual std::shared_ptr<ActivationStage>& activation() = 0;
  // `x` has gone through activation(). Returns [rows, out].
  virtual Tensor Apply(LinearModule& module, const ConstView& x) = 0;
  // Drops what `keep` does not cover and Apply can make again.
  virtual void Release(LinearModule& module, Keep keep) = 0;
};

// What a processor leaves for the saver; defined by the processors' side.
class ModuleResult {
 public:
  virtual ~ModuleResult() = default;
};

class LinearModule {
 public:
  LinearModule(const ModuleInfo& info, const WeightSource& source);

  const ModuleInfo& info() const { return *info_; }
  const std::string& name() const { return info_->name; }
  Parameter& weight() { return weight_; }
  Parameter* bias() { return bias_ ? &*bias_ : nullptr; }
  // The bias, made of zeros of `dtype` when there is none.
  Parameter& MakeBias(DType dtype);

  std::vector<InputObserver*>& observers() { return observers_; }
  std::shared_ptr<const InputTransform>& input_transform() { return input_transform_; }
  std::unique_ptr<LinearForward>& forward() { return forward_; }
  std::unique_ptr<ModuleResult>& result() { return result_; }

  // y = x W^T + b in float: bf16 inputs with f32 accumulation when x and the weight are bf16, else f32 (mixed
  // products are promoted, as in the reference: a bf16 model whose norms a smoothing step replaced runs in f32); the
  // result is of type Promote(x, weight). kPacked keeps the prepared weight.
  Tensor FloatForward(const ConstView& x, Keep keep = Keep::kPacked);
  // The same with another weight of the same shape (a fake-quantized one), which the caller has prepared.
  Tensor FloatForward(const ConstView& x, const PackedWeight& packed, DType out_dtype);
  // Drops what `keep` does not cover; of the values only those that can be read again.
  void Release(Keep keep = Keep::kNothing);

 private:
  // The product itself, x already of the type in which it is computed.
  void FloatForwardInto(const ConstView& x, Keep keep, const View& y);

  const ModuleInfo* info_;
  Parameter weight_;
  std::optional<Parameter> bias_;
  std::vector<InputObserver*> observers_;
  std::shared_ptr<const InputTransform> input_transform_;
  std::unique_ptr<LinearForward> forward_;
  std::unique_ptr<ModuleResult> result_;
  std::optional<PackedWeight> packed_;
  uint64_t packed_version_ = 0;
  DType packed_for_ = DType::kF32;
};

class NormModule {
 public:
  NormModule(const ModuleInfo& info, const WeightSource& source, NormKind kind, double eps);

  const ModuleInfo& info() const { return *info_; }
  const std::string& name() const { return info_->name; }
  Parameter& weight() { return weight_; }
  Parameter* bias() { return bias_ ? &*bias_ : nullptr; }
  Parameter& MakeBias(DType dtype);
  NormKind kind() const { return kind_; }
  // Qwen3-Next calibrates with the ordinary form of its input norms.
  void set_kind(NormKind kind) { kind_ = kind; }
  double eps() const { return eps_; }
  // What the smoothing processors put in the place of a norm: n = x * r in f32, rounded to the weight's type, y =
  // weight * n rounded likewise. With a bias (f32 zeros where there was none) y + bias follows in Promote(weight,
  // bias), so f32 as a rule; without one, y is widened to f32. The norm keeps its eps and becomes kPlain.
  void Replace(bool with_bias);
  bool replaced() const { return replaced_; }

  // x [..., C] where C is a multiple of the norm's size: every run of that many columns is normalized by itself (the q
  // and k norms of Qwen3 see all heads of a token side by side). Result: Promote(x, weight), or x's type for the kinds
  // that compute in f32, or as described at Replace().
  Tensor Forward(const ConstView& x);

 private:
  const ModuleInfo* info_;
  Parameter weight_;
  std::optional<Parameter> bias_;
  NormKind kind_;
  double eps_;
  bool replaced_ = false;
};

}  // namespace modelslim
