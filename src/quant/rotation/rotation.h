// Orthogonal matrices of the "quarot" family, kept as a recipe (signs, fast transforms, shifts) instead of as n*n
// numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

enum class RotationMode {
  kHadamard,              // one random Hadamard matrix, or the same one of `block_size` repeated along the diagonal
  kBlockHadamardShifted,  // M P M with M block-diagonal and P a circular shift by 16
};

struct RotationBlock;

struct RotationOptions {
  RotationMode mode = RotationMode::kHadamard;
  int64_t block_size = -1;         // -1: the whole size (kHadamard), 32 (kBlockHadamardShifted)
  DType root_dtype = DType::kF32;  // the root of the block size is rounded to it
  uint32_t seed = 1234;            // of the signs, drawn anew for every matrix; all blocks share them
  // kBlockHadamardShifted only. 1: M P M. 2: M P M P' M'. 3: M P M P' M' P M P' M' (' = transposed).
  int rot_step = 1;
  std::vector<int64_t> identity_blocks = {};  // blocks of M that are the identity
};

// An immutable square matrix R of size n with R R' = I. Row vectors are rotated as x R. Copies share their data.
// Thread-safe.
//
// R of a Hadamard block of size m is D (T_k' (x) S_(m/k)) / sqrt(m): random signs D on the rows, T_k a base matrix, S
// the Sylvester matrix. It is applied with a fast Walsh-Hadamard transform for S and a k x k product for T, in f32, so
// W R agrees with an f32 matrix product to f32 rounding.
class Rotation {
 public:
  // Throws Error(kUnsupported) when no Hadamard matrix of the needed order is known, Error(kMisuse) when block_size
  // does not divide `size` or an option is out of range; the message starts with `what` (for example "quarot rotation
  // of head_dim").
  static Rotation Make(int64_t size, const RotationOptions& options = {}, const std::string& what = "rotation");
  static Rotation Identity(int64_t size);
  // Any matrix, f32 [n, n]; it is copied. Whether it is orthogonal is the caller's business.
  static Rotation FromMatrix(const ConstView& matrix);
  // blockdiag(parts...), for example {Identity(nope), rot_uv}.
  static Rotation BlockDiagonal(const std::vector<Rotation>& parts);

  int64_t size() const;
  // The explicit matrix, f32 [n, n]. A full-size Hadamard has exactly the entries +-(1 / sqrt_f32(n)).
  Tensor Dense() const;
  // What a cast of Dense() to `dtype` would be, as a rotation: bf16 activations are rotated by a bf16 matrix.
  Rotation CastTo(DType dtype) const;
  Rotation Transposed() const;

  // In place on `count` row vectors of size() floats that lie `stride` floats apart: x := x R. Serial.
  void ApplyRows(float* rows, int64_t count, int64_t stride) const;
  // In place on a panel [size(), width], row-major: X := R' X. Serial.
  void ApplyColumns(float* panel, int64_t width) const;

  // The block of FromMatrix() when that is all there is, else null: then a matrix product is faster.
  const RotationBlock* OnlyDense() const;

  struct Impl;

 private:
  explicit Rotation(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace modelslim
