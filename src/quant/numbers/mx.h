// Microscaling formats: blocks of 32 columns share a power of two, elements are e4m3 (mxfp8) or e2m1 (mxfp4).
// Exponents are computed in the dtype of the data (every step rounded to it, the logarithm too: in bf16 a maximum just
// below a power of two gets the next exponent); elements in f32, ties away from zero.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

inline constexpr int64_t kMxBlock = 32;
inline constexpr int kMxNan = 0x7fff;  // an exponent that is NaN: the whole block is

constexpr int64_t MxBlocks(int64_t cols) { return (cols + kMxBlock - 1) / kMxBlock; }

struct MxRule {
  bool fp4 = false;
  WeightMethod method = WeightMethod::kMinMax;  // kMinMax, kMseRound (fp8), kCeilX, kFourOverSix (fp4)
  float ceil_x = 7.25f;
  bool december_2025 = false;
};

// The shared exponent for the largest magnitude of a block, where it depends on nothing else (kMinMax, kCeilX).
int MxExponent(float largest, DType dtype, const MxRule& rule);

// The same as a table: exponents grow with the magnitude, so each binade needs its first exponent and the place of the
// step.
class MxExponentTable {
 public:
  MxExponentTable(DType dtype, const MxRule& rule);

  // `magnitude`: the bits of the largest magnitude in the dtype given (16 of them for bf16 and f16).
  int operator()(uint32_t magnitude) const {
    if (small_) return by_value_[magnitude & 0x7fffu];
    const uint32_t binade = magnitude >> 23;
    return first_[binade] + (magnitude >= step_[binade] ? jump_[binade] : 0);
  }
  // The exponents of all 2^15 magnitudes of a 16-bit dtype; null for f32.
  const int16_t* by_value() const { return small_ ? by_value_.data() : nullptr; }

 private:
  bool small_;
  std::vector<int16_t> by_value_;  // bf16, f16
  std::array<int16_t, 256> first_{}, jump_{};
  std::array<uint32_t, 256> step_{};
};
// Built once per dtype for the plain rules (kMinMax), any other time by the caller.
const MxExponentTable& MxMinMaxTable(DType dtype, bool fp4, bool december_2025);

// Codes of n <= 32 elements under a shared exponent, which must not be kMxNan. fp4: 0..15, one a byte; fp8: e4m3 bytes.
void MxCodes(const float* values, int64_t n, int exponent, const MxRule& rule, uint8_t* codes);
float MxCodeValue(uint8_t code, bool fp4);
// Back to n <= 32 numbers, in f32; all NaN when the exponent is kMxNan.
void MxDecode(const uint8_t* codes, int64_t n, int exponent, bool fp4, float* values);
float PowerOfTwo(int exponent);  // -149..127 (subnormals included); +inf above, 0 below

inline uint8_t MxStoredExponent(int exponent) {
  if (exponent == kMxNan) return 255;
  return static_cast<uint8_t>(exponent < -127 ? 0 : exponent + 127);
}
inline int MxReadExponent(uint8_t stored) { return stored == 255 ? kMxNan : stored - 127; }

// One block of n <= 32 values (already widened to f32, of type dtype): its exponent under any rule, and codes.
int QuantizeMxBlock(const float* values, int64_t n, DType dtype, const MxRule& rule, const MxExponentTable* table,
                    uint8_t* codes);

// Rows of any length by a rule whose exponents are in `table`; one thread, no
// allocation, thread-safe. codes: [n, cols] e4m3 bytes, or packed [n, cols/2] fp4 with the even column in the low
// nibble (cols even); exponents: [n, ceil(cols/32)], shared exponent + 127.
void QuantizeRowsMx(const ConstView& rows, const MxRule& rule, const MxExponentTable& table, uint8_t* codes,
                    uint8_t* exponents);

// Activations: x [rows, cols] to the values the engine would multiply with, in the dtype of x (then converted to
// out's). With dual_block_size, columns in groups of that size are first divided by max / 6. Runs on the compute pool.
void FakeQuantizeMx(const ConstView& x, const MxRule& rule, int64_t dual_block_size, const View& out);

}  // namespace modelslim
