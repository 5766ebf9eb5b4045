// The +-1 matrices behind the rotations, and the sign sequence that randomizes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace modelslim {

// Orders k of the non-power-of-two Hadamard matrices we can make, ascending: 12, 20, 28, 36, 40, 52, 60, 76, 108, 136,
// 140, 156, 160, 172, 200. They are made by the Paley I, Williamson and doubling constructions, not stored.
std::span<const int64_t> BaseHadamardOrders();

// T_k as rows of +1 / -1, [k, k] row-major. k must be one of BaseHadamardOrders(), or 1 (the matrix [1]).
std::vector<int8_t> BaseHadamard(int64_t k);

// The largest k of BaseHadamardOrders() with n / k a power of two (1 counts), else 1 when n is a power of two, else
// nothing: no Hadamard matrix of order n can be made.
std::optional<int64_t> HadamardBaseOrder(int64_t n);

// n values +1 / -1: +1 where the lowest bit of the i-th output of MT19937 seeded with `seed` is 1.
std::vector<float> RandomSigns(int64_t n, uint32_t seed);

}  // namespace modelslim
