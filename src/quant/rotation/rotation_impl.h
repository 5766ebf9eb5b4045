// What a Rotation is made of. Inside quant/ only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "quant/rotation/rotation.h"

namespace modelslim {

// One diagonal block (or `repeat` equal ones). All of it describes y = B' x on columns, which is x B on rows.
struct RotationBlock {
  enum class Kind { kIdentity, kHadamard, kShift, kDense };
  Kind kind = Kind::kIdentity;
  int64_t size = 0;
  int64_t repeat = 1;
  int64_t k = 0;                // order of the base matrix (kHadamard), or size (kDense)
  int64_t shift = 0;            // kShift: y[j] = x[j - shift]
  std::vector<float> base;      // [k, k]: T, or the transposed dense matrix
  std::vector<float> diagonal;  // signs times scale, size * repeat values
  bool diagonal_last = false;   // B' = (T (x) S) D, or with true, D (T (x) S)
};
using RotationFactor = std::vector<std::shared_ptr<const RotationBlock>>;

// R = factors[0] factors[1] ...; the blocks of every factor add up to `size`.
struct Rotation::Impl {
  int64_t size = 0;
  std::vector<RotationFactor> factors;
};

std::shared_ptr<const RotationBlock> IdentityBlock(int64_t size);
RotationFactor TransposedFactor(const RotationFactor& factor);
// As Rotation::Make() has them, for blocks of `block`. Throws Error(kMisuse) for options that do not fit,
// Error(kUnsupported) where there is no Hadamard matrix of that order.
std::vector<RotationFactor> HadamardFactors(int64_t size, int64_t block, const RotationOptions& options,
                                            const std::string& what);

}  // namespace modelslim
