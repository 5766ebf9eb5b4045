#include "quant/numbers/mx.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/simd.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

constexpr float kEpsilon = 9.6e-7f;  // keeps the logarithm of the fp4 rules finite
constexpr std::array<float, 8> kFp4Values = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

// log2 in f32 correctly rounded (through f64), then rounded to the dtype.
float Log2(float value, DType dtype) {
  return RoundTo(dtype, static_cast<float>(std::log2(static_cast<double>(value))));
}

int ToExponent(float exponent, float lowest, float highest) {
  if (std::isnan(exponent)) return kMxNan;
  return static_cast<int>(std::clamp(exponent, lowest, highest));
}

// The rule of mxfp8, and of mxfp4 in December 2025: beyond 127 there is no exponent.
int PlainExponent(float rounded_log2, int largest_element_exponent) {
  const float exponent = rounded_log2 - static_cast<float>(largest_element_exponent);
  if (exponent > 127.0f || std::isnan(exponent)) return kMxNan;
  return static_cast<int>(std::max(exponent, -127.0f));
}

float PlainLog2(float largest, DType dtype) {
  return Log2(largest == 0.0f ? RoundTo(dtype, 0x1p-126f) : largest, dtype);
}

constexpr int kBlock = static_cast<int>(kMxBlock);

// Halves up to 2, ones up to 4, twos beyond, ties up; where two steps meet both give the same value, so the logarithm
// need not be taken to know the binade of y. The sum y / 0.5 + 0.5 is rounded to f32: already the float below 0.25
// reaches 0.5.
MODELSLIM_MULTIVERSION void Fp4Codes(const float* values, int64_t n, float power, uint32_t* codes) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = values[i] / power;
    const uint32_t bits = std::bit_cast<uint32_t>(scaled) & 0x7fffffffu;
    const float y = std::bit_cast<float>(bits);
    const int32_t small = (y >= 0x1.fffffep-3f ? 1 : 0) + (y >= 0.75f ? 1 : 0);
    int32_t code = static_cast<int32_t>((bits + 0x200000u) >> 22) - 252;
    code = code > small ? code : small;
    code = code < 7 ? code : 7;
    codes[i] = static_cast<uint32_t>(code) | (scaled < 0.0f ? 8u : 0u);
  }
}

MODELSLIM_MULTIVERSION void Fp8Codes(const float* values, int64_t n, float power, uint32_t* codes) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = values[i] / power;
    const uint32_t bits = std::bit_cast<uint32_t>(scaled) & 0x7fffffffu;
    const int32_t normal = static_cast<int32_t>((bits + 0x80000u) >> 20) - 960;
    const float tiny = std::bit_cast<float>(bits) < 0x1p-6f ? std::bit_cast<float>(bits) : 0.0f;
    const int32_t subnormal = static_cast<int32_t>(tiny * 512.0f + 0.5f);
    int32_t code = bits < 0x3c800000u ? subnormal : normal;
    code = code < 0x7e ? code : 0x7e;
    codes[i] = static_cast<uint32_t>(code) | (scaled < 0.0f ? 0x80u : 0u);
  }
}

MODELSLIM_MULTIVERSION void DecodeFp4(const uint32_t* codes, int64_t n, float power, float* values) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t rest = codes[i] & 7u;
    const float large = std::bit_cast<float>(((rest >> 1) + 126u) << 23 | (rest & 1u) << 22);
    const float magnitude = (rest < 2u ? 0.5f * static_cast<float>(static_cast<int32_t>(rest)) : large) * power;
    values[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | (codes[i] & 8u) << 28);
  }
}

MODELSLIM_MULTIVERSION void DecodeFp8(const uint32_t* codes, int64_t n, float power, float* values) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = std::bit_cast<float>((codes[i] & 0x7fu) << 20) * 0x1p120f * power;
    values[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | (codes[i] & 0x80u) << 24);
  }
}

template <class D>
MODELSLIM_INLINE void SquaredErrorsLoop(const float* values, const float* back, float* squares) {
#pragma omp simd
  for (int i = 0; i < kBlock; ++i) {
    const float error = FastRound<D>(values[i] - FastRound<D>(back[i]));
    squares[i] = FastRound<D>(error * error);
  }
}
MODELSLIM_MULTIVERSION void SquaresF32(const float* v, const float* b, float* s) { SquaredErrorsLoop<float>(v, b, s); }
MODELSLIM_MULTIVERSION void SquaresBF16(const float* v, const float* b, float* s) { SquaredErrorsLoop<BF16>(v, b, s); }
MODELSLIM_MULTIVERSION void SquaresF16(const float* v, const float* b, float* s) { SquaredErrorsLoop<F16>(v, b, s); }

// Mean of the squared errors of a block (zeros where it is short), every step in the dtype of the weight; the sum in
// f32, eight columns first, in the order of the framework.
float BlockError(const float* values, int64_t n, DType dtype, int exponent, const MxRule& rule) {
  float padded[kBlock] = {}, back[kBlock] = {}, squares[kBlock];
  uint8_t codes[kBlock];
  std::copy(values, values + n, padded);
  MxCodes(padded, n, exponent, rule, codes);
  MxDecode(codes, n, exponent, rule.fp4, back);
  if (dtype == DType::kBF16) SquaresBF16(padded, back, squares);
  if (dtype == DType::kF16) SquaresF16(padded, back, squares);
  if (dtype == DType::kF32) SquaresF32(padded, back, squares);
  float sum = 0.0f;
  for (int i = 0; i < 8; ++i) sum += ((squares[i] + squares[8 + i]) + squares[16 + i]) + squares[24 + i];
  return RoundTo(dtype, sum / static_cast<float>(kBlock));
}

// value rounded to a power of two by its logarithm; a fraction of one half goes to the even integer's upper neighbour.
int NearestPower(float value, DType dtype) {
  if (!(value > 0.0f)) return std::isnan(value) ? kMxNan : 0;
  const float log = Log2(value, dtype), whole = std::floor(log), fraction = RoundTo(dtype, log - whole);
  if (std::isinf(log)) return 125;
  bool up = std::fmod(whole, 2.0f) == 0.0f;
  if (fraction > 0.5f + 1e-6f) up = true;
  if (fraction < 0.5f - 1e-6f) up = false;
  return ToExponent(whole + (up ? 1.0f : 0.0f), -129.0f, 125.0f);
}

int FourOverSixExponent(const float* values, int64_t n, float largest, DType dtype, const MxRule& rule) {
  const int six = NearestPower(RoundTo(dtype, largest / 6.0f), dtype);
  const int four = NearestPower(RoundTo(dtype, largest / 4.0f), dtype);
  if (six == four || six == kMxNan || four == kMxNan) return six;
  return BlockError(values, n, dtype, four, rule) < BlockError(values, n, dtype, six, rule) ? four : six;
}

int MseRoundExponent(const float* values, int64_t n, float largest, DType dtype, const MxRule& rule) {
  const float log = PlainLog2(largest, dtype);
  const int down = PlainExponent(std::floor(log), 8), up = PlainExponent(std::ceil(log), 8);
  if (down == up || up == kMxNan || down == kMxNan) return down == kMxNan ? up : down;
  const float error_down = BlockError(values, n, dtype, down, rule), error_up = BlockError(values, n, dtype, up, rule);
  return std::isfinite(error_up) && (error_up < error_down || !std::isfinite(error_down)) ? up : down;
}

}  // namespace

float PowerOfTwo(int exponent) { return std::ldexp(1.0f, exponent); }

int MxExponent(float largest, DType dtype, const MxRule& rule) {
  if (rule.method == WeightMethod::kCeilX) {
    const float scaled = RoundTo(dtype, largest / rule.ceil_x);
    return ToExponent(std::ceil(Log2(RoundTo(dtype, scaled + RoundTo(dtype, kEpsilon)), dtype)), -129.0f, 125.0f);
  }
  if (!rule.fp4 || rule.december_2025) {
    return PlainExponent(std::floor(PlainLog2(largest, dtype)), rule.fp4 ? 2 : 8);
  }
  const float scaled = RoundTo(dtype, RoundTo(dtype, largest / 0.875f) + RoundTo(dtype, kEpsilon));
  return ToExponent(std::floor(Log2(scaled, dtype)) - 2.0f, -129.0f, 125.0f);
}

MxExponentTable::MxExponentTable(DType dtype, const MxRule& rule) : small_(dtype != DType::kF32) {
  if (small_) {
    by_value_.resize(0x8000);
    for (uint32_t bits = 0; bits < 0x8000; ++bits) {
      const uint16_t half = static_cast<uint16_t>(bits);
      const float value = dtype == DType::kBF16 ? ToF32(BF16{half}) : ToF32(F16{half});
      by_value_[bits] = static_cast<int16_t>(MxExponent(value, dtype, rule));
    }
    return;
  }
  const auto exponent = [&](uint32_t bits) { return MxExponent(std::bit_cast<float>(bits), dtype, rule); };
  for (uint32_t binade = 0; binade < 255; ++binade) {
    uint32_t low = binade << 23, high = low | 0x7fffffu;
    const int first = exponent(low), last = exponent(high);
    first_[binade] = static_cast<int16_t>(first);
    jump_[binade] = static_cast<int16_t>(last - first);
    step_[binade] = 0xffffffffu;
    MODELSLIM_CHECK(last - first <= 1 || last == kMxNan);
    if (first == last) continue;
    while (high - low > 1) {
      const uint32_t middle = low + (high - low) / 2;
      (exponent(middle) == first ? low : high) = middle;
    }
    step_[binade] = high;
  }
  first_[255] = static_cast<int16_t>(exponent(0x7f800000u));  // infinity; NaN one above
  jump_[255] = static_cast<int16_t>(kMxNan - first_[255]);
  step_[255] = 0x7f800001u;
}

const MxExponentTable& MxMinMaxTable(DType dtype, bool fp4, bool december_2025) {
  static std::mutex mutex;
  static std::array<std::unique_ptr<MxExponentTable>, 9> tables;  // dtype x (fp8, fp4 now, fp4 then)
  const size_t kind = !fp4 ? 0 : december_2025 ? 2 : 1;
  const size_t type = dtype == DType::kF32 ? 0 : dtype == DType::kBF16 ? 1 : 2;
  const std::lock_guard lock(mutex);
  auto& table = tables[type * 3 + kind];
  if (!table) table = std::make_unique<MxExponentTable>(dtype, MxRule{fp4, WeightMethod::kMinMax, 0.0f, december_2025});
  return *table;
}

void MxCodes(const float* values, int64_t n, int exponent, const MxRule& rule, uint8_t* codes) {
  uint32_t wide[kBlock] = {};
  const float power = PowerOfTwo(exponent);
  if (!rule.fp4) {
    Fp8Codes(values, n, power, wide);
  } else if (exponent >= -127 || rule.december_2025) {
    Fp4Codes(values, n, power, wide);
  }
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

void MxDecode(const uint8_t* codes, int64_t n, int exponent, bool fp4, float* values) {
  uint32_t wide[kBlock];
  for (int64_t i = 0; i < n; ++i) wide[i] = codes[i];
  const float power = exponent == kMxNan ? std::numeric_limits<float>::quiet_NaN() : PowerOfTwo(exponent);
  fp4 ? DecodeFp4(wide, n, power, values) : DecodeFp8(wide, n, power, values);
}

float MxCodeValue(uint8_t code, bool fp4) {
  if (!fp4) return E4M3ToF32(code);
  return (code & 8) != 0 ? -kFp4Values[code & 7] : kFp4Values[code & 7];
}

int QuantizeMxBlock(const float* values, int64_t n, DType dtype, const MxRule& rule, const MxExponentTable* table,
                    uint8_t* codes) {
  float largest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(values[i]);
    largest = std::isnan(largest) || magnitude < largest ? largest : magnitude;
  }
  int exponent = 0;
  if (rule.method == WeightMethod::kFourOverSix) {
    exponent = FourOverSixExponent(values, n, largest, dtype, rule);
  } else if (rule.method == WeightMethod::kMseRound) {
    exponent = MseRoundExponent(values, n, largest, dtype, rule);
  } else if (table != nullptr && dtype == DType::kF32) {
    exponent = (*table)(std::bit_cast<uint32_t>(largest));
  } else {
    exponent = MxExponent(largest, dtype, rule);
  }
  if (exponent == kMxNan) {
    std::fill(codes, codes + n, static_cast<uint8_t>(rule.fp4 ? 0 : 0x7f));
    return exponent;
  }
  MxCodes(values, n, exponent, rule, codes);
  return exponent;
}

}  // namespace modelslim
