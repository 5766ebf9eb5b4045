#include "quant/mx.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

#include "quant/affine_kernels.h"
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

// Mean of the squared errors of a block, every step in the dtype of the weight, the sum in f32.
float BlockError(const float* values, int64_t n, DType dtype, int exponent, const MxRule& rule) {
  float sum = 0.0f;
  const float power = PowerOfTwo(exponent);
  for (int64_t i = 0; i < n; ++i) {
    const float back = RoundTo(dtype, MxCodeValue(MxCode(values[i], exponent, rule), rule.fp4) * power);
    const float error = RoundTo(dtype, values[i] - back);
    sum += RoundTo(dtype, error * error);
  }
  return RoundTo(dtype, sum / static_cast<float>(kMxBlock));
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
    const float scaled = RoundTo(dtype, largest / RoundTo(dtype, rule.ceil_x));
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

uint8_t MxCode(float value, int exponent, const MxRule& rule) {
  if (rule.fp4 && !rule.december_2025 && exponent < -127) return 0;
  const float scaled = value == 0.0f ? 0.0f : value / PowerOfTwo(exponent), y = std::fabs(scaled);
  const bool negative = scaled < 0.0f;
  if (rule.fp4) {
    // Halves up to 2, ones up to 4, twos beyond; where two steps meet both give the same value, so the exact binade of
    // y does not matter. The sum is rounded to f32, which the smallest tie feels.
    const float step = y < 2.0f ? 0.5f : y < 4.0f ? 1.0f : 2.0f;
    const float rounded = std::min(std::floor(y / step + 0.5f) * step, 6.0f);
    const auto found = std::lower_bound(kFp4Values.begin(), kFp4Values.end(), rounded);
    return static_cast<uint8_t>((found - kFp4Values.begin()) | (negative ? 8 : 0));
  }
  const int binade = y == 0.0f ? 0 : std::max(std::isinf(y) ? 127 : std::ilogb(y), -6);
  const float step = PowerOfTwo(binade - 3);
  const float rounded = std::min(std::floor(y / step + 0.5f) * step, 448.0f);
  return static_cast<uint8_t>(F32ToE4M3(rounded) | (negative ? 0x80 : 0));
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
  for (int64_t i = 0; i < n; ++i) codes[i] = MxCode(values[i], exponent, rule);
  return exponent;
}

}  // namespace modelslim
