// Order statistics of large arrays of bit patterns, by counting: no sorting, the same answer at any thread count.
// Inside quant/ only.
#pragma once

#include <cstdint>
#include <vector>

namespace modelslim {

// The value at `rank` (from 0) of `values` in descending order. values must not be empty.
uint32_t LargestAt(const std::vector<uint32_t>& values, int64_t rank);

// mask[i] = 0 for the `count` smallest values, 1 for the others. Of equal values the first ones are taken.
void MaskSmallest(const std::vector<uint32_t>& values, int64_t count, std::vector<uint8_t>* mask);

}  // namespace modelslim
