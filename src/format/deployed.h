// A quantized linear as a server computes it, in terms of no format.
#pragma once

#include "quant/activations/activation.h"
#include "tensor/tensor.h"

namespace modelslim {

// One of three kinds:
//   static integers:    q = clamp(round(x / fixed.scale + fixed.offset)); y = (sum q w + quant_bias) * scale
//   per-token integers: s = max|x| of a row / (2^(bits-1) - 1), q = round(x / s); y = (sum q w) * s * scale + bias
//   everything else:    y = x' weight^T + bias, x' what `activation` makes of x, or x itself
struct DeployedLinear {
  SharedTensor codes;       // I8 [out, in] of the first two kinds, symmetric; null for the third
  Tensor scale;             // f32 [out] of the first two
  SharedTensor quant_bias;  // I32 [out] of the first
  Tensor weight;            // f32 [out, in] of the third
  Tensor bias;              // f32 [out], or null

  bool weight_only = false;
  DeployedActivation activation;  // each row (token) for itself

  bool IsInteger() const { return static_cast<bool>(codes); }
  bool IsStatic() const { return IsInteger() && activation.spec.scope == ActivationScope::kPerTensor; }
};

// Which half of a type that has two a server is in.
enum class ServerPhase : uint8_t { kPrefill, kDecode };

}  // namespace modelslim
