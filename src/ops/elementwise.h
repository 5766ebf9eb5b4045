// Elementwise operations. Each works in f32 and rounds where the operation of the reference would: its result type is
// that of the operand, or Promote(a, b) of two; converting to the type of the output view comes last and is free when
// they agree. Operands: f32, bf16 or f16 each. The output may be one of the inputs when their types are equal. On the
// compute pool.
#pragma once

#include <optional>
#include <string_view>

#include "tensor/tensor.h"

namespace modelslim {

// out = a + b, out = a - b, out = a * b; equal shapes.
void Add(const ConstView& a, const ConstView& b, const View& out);
void Subtract(const ConstView& a, const ConstView& b, const View& out);
void Multiply(const ConstView& a, const ConstView& b, const View& out);
// x = x * value, value first rounded to x's type as a scalar operand is.
void Scale(const View& x, float value);

enum class Activation : uint8_t { kIdentity, kSilu, kGelu, kGeluTanh, kQuickGelu, kRelu, kSigmoid, kTanh };
// By the names of config.json: "silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_tanh", "gelu_fast",
// "quick_gelu", "relu", "sigmoid", "tanh", "linear", "identity".
std::optional<Activation> ParseActivation(std::string_view name);

// out = act(x), rounded to x's type.
void Activate(Activation act, const ConstView& x, const View& out);
// out = act(gate) * up: the activation is rounded to gate's type, the product to Promote(gate, up).
void ActivateMul(Activation act, const ConstView& gate, const ConstView& up, const View& out);
inline void SiluMul(const ConstView& gate, const ConstView& up, const View& out) {
  ActivateMul(Activation::kSilu, gate, up, out);
}
// The same with no rounding between (DeepSeek-V3.2's experts).
void ActivateMulF32(Activation act, const ConstView& gate, const ConstView& up, const View& out);
inline void Sigmoid(const ConstView& x, const View& out) { Activate(Activation::kSigmoid, x, out); }

// In place: x[r, c] *= s[c], x[r, c] *= s[r], x[r, c] += s[c]; computed in f32, rounded once to x's type. s may have
// any model type.
void ScaleColumns(const View& x, const ConstView& s);
void ScaleRows(const View& x, const ConstView& s);
void AddToRows(const View& x, const ConstView& s);

// Softmax of every row in f32, then converted to out's type.
void SoftmaxRows(const ConstView& x, const View& out);

}  // namespace modelslim
