#include "kernels/integer_product.h"

#include <gtest/gtest.h>

#include <array>

namespace modelslim {
namespace {

Tensor Integers(int64_t rows, int64_t cols, uint32_t seed, bool extreme) {
  Tensor made(DType::kI8, {rows, cols});
  uint32_t state = seed;
  for (int64_t i = 0; i < made.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    made.as<int8_t>()[i] = static_cast<int8_t>(extreme ? -128 : static_cast<int>(state >> 24) - 128);
  }
  return made;
}

// Every sum by itself, in 64 bits.
void Check(int64_t m, int64_t n, int64_t k, bool extreme) {
  const Tensor x = Integers(m, k, 1, extreme), w = Integers(n, k, 2, extreme);
  Tensor y(DType::kI32, {m, n});
  PackedIntegers(w.view()).Apply(x.view(), y.view());
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (int64_t c = 0; c < k; ++c) sum += int64_t{x.as<int8_t>()[i * k + c]} * w.as<int8_t>()[j * k + c];
      ASSERT_EQ(y.as<int32_t>()[i * n + j], sum) << m << "x" << n << "x" << k << " at " << i << ", " << j;
    }
  }
}

TEST(IntegerProduct, IsExact) {
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 31}, {7, 33, 1024}, {2, 9, 1025}, {300, 17, 2100}})
    Check(m, n, k, /*extreme=*/false);
}

// All -128: the largest sums that a run can have, and many runs.
TEST(IntegerProduct, IsExactAtTheEnds) {
  Check(2, 3, 1024, /*extreme=*/true);
  Check(2, 3, 9000, /*extreme=*/true);
}

TEST(IntegerProduct, NoRows) {
  const Tensor w = Integers(4, 8, 1, false);
  Tensor y(DType::kI32, {0, 4});
  PackedIntegers(w.view()).Apply(Tensor(DType::kI8, {0, 8}).view(), y.view());
}

}  // namespace
}  // namespace modelslim
