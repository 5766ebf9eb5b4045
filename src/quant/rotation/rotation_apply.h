// Rotations of weights and activations. All run on the compute pool; the result of a row (or column) depends on that
// row alone, so threads and chunks change nothing.
//
// A rotation smaller than the rotated dimension is repeated along the diagonal. A dimension that is no multiple of its
// size is Error(kMisuse). Types: f32, bf16, f16.
#pragma once

#include "quant/rotation/rotation.h"

namespace modelslim {

// Input side (also an embedding, whose rows are tokens): W := W R. w: [out, in]. Computed in f32, rounded once.
void RotateRight(const View& w, const Rotation& rotation);
// Output side: W := R' W, b := R' b. w: [out, in]; bias: [out], or null data. Computed in f32, rounded once.
void RotateLeft(const View& w, const View& bias, const Rotation& rotation);

// Activations x [..., C]: x := x R, with R cast to x's type first, products accumulated in f32 and rounded once to x's
// type.
void RotateActivations(const View& x, const Rotation& rotation);

// --- online rotation of o_proj: x' = A' x over the head axis of [heads, head_dim] ---
// W := W (A (x) I_d), in f32, rounded once. w: [out, heads * head_dim]; `heads` has size H.
void RotateHeadsOfWeight(const View& w, const Rotation& heads);
// x: [..., heads * head_dim], in x's type (A cast to it).
void RotateHeadsOfActivations(const View& x, const Rotation& heads);

// --- online rotation of down_proj: every row viewed [m, n] becomes M' (V N) ---
// The most balanced m <= n of equal parity with m * n = size and both in {1, 2, 4, 8, 12, ..., 256}, found as the first
// a >= ceil(sqrt(size)), a <= 256, with a^2 - size a square. Throws Error(kUnsupported) when there is none.
struct KroneckerFactors {
  int64_t m = 0;
  int64_t n = 0;
};
KroneckerFactors FindKroneckerFactors(int64_t size);
// V N, rounded to the tensor's type, then M' (.), rounded again; M and N are cast to that type. rows: [..., m * n], a
// weight [out, in] or activations: both are treated alike.
void RotateKronecker(const View& rows, const Rotation& m, const Rotation& n);

}  // namespace modelslim
