#include "ops/block_fp8.h"

#include <algorithm>
#include <bit>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

// E4M3ToF32 without a branch, so that the loop becomes vector code.
inline float Decode(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24, rest = code & 0x7fu;
  const float magnitude = std::bit_cast<float>(rest << 20) * 0x1p120f;
  const uint32_t bits = rest == 0x7f ? 0x7fc00000u : std::bit_cast<uint32_t>(magnitude);
  return std::bit_cast<float>(sign | bits);
}

MODELSLIM_MULTIVERSION void Run(const uint8_t* codes, float scale, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = Decode(codes[i]) * scale;
}

MODELSLIM_MULTIVERSION void Run(const uint8_t* codes, float scale, int64_t count, BF16* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = ToBF16(Decode(codes[i]) * scale);
}

MODELSLIM_MULTIVERSION void Run(const uint8_t* codes, float scale, int64_t count, F16* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = ToF16(Decode(codes[i]) * scale);
}

}  // namespace

Shape Fp8ScaleShape(const Shape& weight) {
  return {(weight[0] + kFp8Block - 1) / kFp8Block, (weight[1] + kFp8Block - 1) / kFp8Block};
}

void DequantizeBlockFp8(const ConstView& codes, const ConstView& scales, const View& out) {
  MODELSLIM_CHECK(codes.dtype == DType::kF8E4M3 && codes.shape.size() == 2 && codes.shape == out.shape &&
                  scales.shape == Fp8ScaleShape(codes.shape));
  const int64_t cols = codes.cols(), blocks = scales.cols();
  const auto* const from = codes.as<uint8_t>();
  WithModelDType(out.dtype, [&](auto tag) {
    using To = decltype(tag);
    To* const to = out.as<To>();
    ParallelRanges(codes.rows(), 16, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t b = 0; b < blocks; ++b) {
          const int64_t i = b * kFp8Block, count = std::min(kFp8Block, cols - i);
          Run(from + o * cols + i, ElementAsF32(scales, o / kFp8Block * blocks + b), count, to + o * cols + i);
        }
      }
    });
  });
}

}  // namespace modelslim
