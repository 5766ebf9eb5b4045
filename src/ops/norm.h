// Normalizations over rows, with the rounding points of the models that use them. All of them run on the compute pool,
// give the same bits at any thread count, and allow y to be x. Sums of squares are taken in f32 over sixteen
// interleaved partial sums, the same on every machine. Shapes that do not fit are our own mistake and end the program.
#pragma once

#include "tensor/tensor.h"

namespace modelslim {

enum class NormKind : uint8_t {
  kPlain,        // Llama, Qwen2, Qwen3, DeepSeek-V3: n = x * r rounded to x's type, y = weight * n rounded once more
  kZeroCentred,  // Qwen3-Next: y = n * (1 + weight), all in f32, rounded once
  kF32Weight,    // DeepSeek-V3.2: y = weight * n in f32, rounded once
};

// r = rsqrt(mean(x^2) + eps). x [..., C], y like x; weight [D] where C is a multiple of D and every run of D columns is
// normalized by itself (D = C for layer norms, D = head size for the q and k norms of Qwen3). x, weight, y: f32, bf16
// or f16 each. The result has the type Promote(x, weight) (kPlain) or f32 (else), then is converted to y's type.
void RmsNorm(const ConstView& x, const ConstView& weight, float eps, const View& y, NormKind kind = NormKind::kPlain);

// The norm that smooth_quant and iter_smooth put in: n = x * r in f32, rounded to weight's type, y = weight * n rounded
// to weight's type, then + bias in Promote(weight, bias). bias [D]; null data means none.
void RmsNormBias(const ConstView& x, const ConstView& weight, const ConstView& bias, float eps, const View& y);

// Qwen3-Next's gated norm: t = weight * n with n and t rounded as in kPlain, y = t * silu(gate) in f32, rounded once.
// gate has x's shape.
void RmsNormGated(const ConstView& x, const ConstView& gate, const ConstView& weight, float eps, const View& y);

// (x - mean) * rsqrt(variance + eps) * weight + bias in f32, rounded once to y's type. weight and bias [D] may have
// null data (no weight: 1, no bias: 0; then D = C).
void LayerNorm(const ConstView& x, const ConstView& weight, const ConstView& bias, float eps, const View& y);

}  // namespace modelslim
