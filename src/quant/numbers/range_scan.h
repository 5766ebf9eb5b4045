// Ranges of packed samples, taken in parallel.
#pragma once

#include <span>
#include <vector>

#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

// Sample i is rows [offsets[i], offsets[i+1]) of x [tokens, cols]. Checks that offsets ascend within x.
void CheckOffsets(const ConstView& x, std::span<const int64_t> offsets);

// Calls work(sample, rows of x [begin, end)) for pieces of samples of about 64 Ki elements, on the compute pool. Empty
// samples have no pieces.
struct SamplePiece {
  int64_t sample, begin, end;
};
std::vector<SamplePiece> PiecesOf(const ConstView& x, std::span<const int64_t> offsets);

// Per sample; an empty sample has an empty range.
std::vector<Range> SampleRanges(const ConstView& x, std::span<const int64_t> offsets);
// The same without NaN and infinities; a sample without anything finite has an empty range.
std::vector<Range> FiniteSampleRanges(const ConstView& x, std::span<const int64_t> offsets);

// Only values within limits[i] of sample i.
std::vector<Range> SampleRangesWithin(const ConstView& x, std::span<const int64_t> offsets,
                                      std::span<const Range> limits);

// Per column, one range vector a sample.
struct ColumnRanges {
  std::vector<float> min, max;
};
std::vector<ColumnRanges> SampleColumnRanges(const ConstView& x, std::span<const int64_t> offsets);
// Columns [begin, begin + kAffineRun) of x, or up to the last, widen min and max; single-threaded.
void WidenColumnRun(const ConstView& x, int64_t begin, float* min, float* max);

}  // namespace modelslim
