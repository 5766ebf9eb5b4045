#include "kernels/integer_product.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

constexpr int64_t kRun = 1024;  // columns; (2^7)^2 * 2^10 = 2^24
constexpr int64_t kRowsAtOnce = 256;

// Integers of at most 8 bits have a bf16 that is the upper half of their f32.
MODELSLIM_MULTIVERSION void ToBf16(const int8_t* from, int64_t n, uint16_t* __restrict to) {
  for (int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<float>(from[i]);
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof(bits));
    to[i] = static_cast<uint16_t>(bits >> 16);
  }
}

MODELSLIM_MULTIVERSION void AddTo(const float* from, int64_t n, int32_t* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] += static_cast<int32_t>(from[i]);
}

MODELSLIM_MULTIVERSION void SetTo(const float* from, int64_t n, int32_t* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<int32_t>(from[i]);
}

// Columns [begin, end) of an int8 matrix.
Tensor Columns(const ConstView& x, int64_t begin, int64_t end) {
  Tensor out(DType::kBF16, {x.rows(), end - begin});
  ParallelRanges(
      x.rows(), std::max<int64_t>(1, 65536 / std::max<int64_t>(1, end - begin)), [&](int64_t r0, int64_t r1) {
        for (int64_t row = r0; row < r1; ++row)
          ToBf16(x.as<int8_t>() + row * x.cols() + begin, end - begin, out.as<uint16_t>() + row * (end - begin));
      });
  return out;
}

}  // namespace

PackedIntegers::PackedIntegers(const ConstView& w) : rows_(w.rows()), cols_(w.cols()) {
  MODELSLIM_CHECK(w.dtype == DType::kI8 && w.shape.size() == 2 && cols_ < (int64_t{1} << 16));
  for (int64_t begin = 0; begin < cols_; begin += kRun) {
    const Tensor run = Columns(w, begin, std::min(cols_, begin + kRun));
    runs_.emplace_back(run.view(), DType::kBF16);
  }
}

void PackedIntegers::Apply(const ConstView& x, const View& y) const {
  MODELSLIM_CHECK(x.dtype == DType::kI8 && x.cols() == cols_ && y.dtype == DType::kI32 && y.rows() == x.rows() &&
                  y.cols() == rows_);
  for (int64_t first = 0; first < x.rows(); first += kRowsAtOnce) {
    const int64_t last = std::min(x.rows(), first + kRowsAtOnce);
    Tensor sums(DType::kF32, {last - first, rows_});
    int32_t* const out = y.as<int32_t>() + first * rows_;
    for (size_t run = 0; run < runs_.size(); ++run) {
      const int64_t begin = static_cast<int64_t>(run) * kRun;
      const Tensor part = Columns(x.Rows(first, last), begin, std::min(cols_, begin + kRun));
      runs_[run].Apply(part.view(), ConstView{}, sums.view());
      ParallelRanges(sums.size(), 1 << 16, [&](int64_t i0, int64_t i1) {
        (run == 0 ? SetTo : AddTo)(sums.as<float>() + i0, i1 - i0, out + i0);
      });
    }
  }
}

size_t PackedIntegers::bytes() const {
  size_t sum = 0;
  for (const PackedWeight& run : runs_) sum += run.bytes();
  return sum;
}

}  // namespace modelslim
