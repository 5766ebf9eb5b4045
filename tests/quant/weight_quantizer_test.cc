#include "quant/weights/weight_quantizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/parallel.h"
#include "quant/numbers/mx.h"
#include "quant/weights/row_kernels.h"
#include "reference.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

WeightSpec Ints(ElementFormat format, WeightMethod method = WeightMethod::kMinMax) {
  WeightSpec spec;
  spec.format = format;
  spec.method = method;
  return spec;
}

WeightSpec Mx(ElementFormat format, WeightMethod method = WeightMethod::kMinMax, bool old = false) {
  WeightSpec spec;
  spec.scope = WeightScope::kPerBlock;
  spec.format = format;
  spec.method = method;
  spec.december_2025 = old;
  return spec;
}

std::vector<int> Codes(const QuantizedWeight& weight) {
  const int8_t* data = weight.codes.as<int8_t>();
  return std::vector<int>(data, data + weight.codes.size());
}

std::vector<float> Elements(const QuantizedWeight& weight, int64_t row, int64_t n) {
  std::vector<float> values;
  const bool fp4 = weight.format == ElementFormat::kMxFp4;
  for (int64_t i = 0; i < n; ++i) {
    values.push_back(MxCodeValue(weight.codes.as<uint8_t>()[row * weight.codes.view().cols() + i], fp4));
  }
  return values;
}

std::vector<int> Exponents(const QuantizedWeight& weight) {
  std::vector<int> exponents;
  for (int64_t i = 0; i < weight.scale.size(); ++i) exponents.push_back(weight.scale.as<uint8_t>()[i] - 127);
  return exponents;
}

// Rows of 32 that begin as given, the rest zero.
Tensor Blocks(DType dtype, const std::vector<std::vector<float>>& rows) {
  std::vector<float> values;
  for (const std::vector<float>& row : rows) {
    values.insert(values.end(), row.begin(), row.end());
    values.resize((&row - rows.data() + 1) * 32, 0.0f);
  }
  return reference::Make(dtype, {static_cast<int64_t>(rows.size()), 32}, values);
}

TEST(Ssz, WorkedExample) {
  const std::vector<float> values = {0.9f, -0.31f, 0.22f,  -0.55f, 0.08f, 0.47f, -0.13f, 0.6f,
                                     1,    0.5f,   -0.25f, 0.125f, -1,    0.75f, 0,      0.3125f};
  const QuantizedWeight f32 = QuantizeWeight(reference::Make(DType::kF32, {2, 8}, values).view(),
                                             Ints(ElementFormat::kInt4, WeightMethod::kSsz));
  EXPECT_THAT(Codes(f32), ElementsAre(7, -2, 2, -4, 1, 4, -1, 5, 7, 3, -2, 1, -7, 5, 0, 2));
  EXPECT_FLOAT_EQ(f32.scale.as<float>()[0], 0.1262930929660797f);
  EXPECT_FLOAT_EQ(f32.scale.as<float>()[1], 0.14539006352424622f);
  const QuantizedWeight bf16 = QuantizeWeight(reference::Make(DType::kBF16, {2, 8}, values).view(),
                                              Ints(ElementFormat::kInt4, WeightMethod::kSsz));
  EXPECT_THAT(Codes(bf16), ElementsAre(7, -2, 2, -4, 1, 4, -1, 5, 7, 4, -2, 1, -7, 5, 0, 2));
  EXPECT_THAT(reference::Floats(bf16.scale.view()), ElementsAre(0.1259765625f, 0.1416015625f));
}

// The loop over the whole matrix as it is defined: all rows together, until none improves.
std::vector<float> PlainSsz(const ConstView& w, int bits, int steps, DType float_type, float floor) {
  const int64_t rows = w.rows(), cols = w.cols();
  const DType d = w.dtype, p = Promote(d, float_type);
  std::vector<float> best_scale(rows), best(rows), scale(rows);
  std::vector<int> q(w.size());
  const auto quantize = [&](int64_t row) {
    for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
      q[i] = reference::QuantizeOne(ElementAsF32(w, i), {scale[row], 0.0f}, d, bits);
    }
  };
  const auto error = [&](int64_t row) {
    double sum = 0.0;
    for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
      const float back = RoundTo(float_type, reference::DequantizeOne(q[i], {scale[row], 0.0f}, d));
      const float e = RoundTo(p, ElementAsF32(w, i) - back);
      sum += RoundTo(p, e * e);
    }
    return RoundTo(p, static_cast<float>(sum) / static_cast<float>(cols));
  };
  for (int64_t row = 0; row < rows; ++row) {
    float largest = 0.0f;
    for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
      largest = reference::NanMax(largest, std::fabs(ElementAsF32(w, i)));
    }
    scale[row] = best_scale[row] = reference::ParamsOf(-largest, largest, d, bits, true).scale;
    quantize(row);
    best[row] = error(row);
  }
  for (int step = 0; step < steps; ++step) {
    bool all = true;
    std::vector<float> current(rows);
    for (int64_t row = 0; row < rows; ++row) {
      double num = 0.0, den = 0.0;
      for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
        num += RoundTo(d, ElementAsF32(w, i) * static_cast<float>(q[i]));
        den += RoundTo(d, static_cast<float>(q[i] * q[i]));
      }
      scale[row] = RoundTo(d, RoundTo(d, static_cast<float>(num)) /
                                  reference::NanMax(RoundTo(d, static_cast<float>(den)), RoundTo(d, floor)));
      quantize(row);
      current[row] = error(row);
      const float gain = RoundTo(p, best[row] - current[row]);
      const bool converged = RoundTo(p, gain / std::max(best[row], RoundTo(p, 1e-4f))) < RoundTo(p, 1e-10f) ||
                             std::fabs(gain) < RoundTo(p, 1e-10f);
      all = all && converged;
    }
    if (all) break;
    for (int64_t row = 0; row < rows; ++row) {
      if (current[row] < best[row]) best[row] = current[row], best_scale[row] = scale[row];
    }
  }
  return best_scale;
}

// Small weights gain less than the threshold and still improve: there the moment of the common stop shows.
TEST(Ssz, MatchesTheLoopOverTheWholeMatrix) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const DType float_type : {DType::kF32, dtype}) {
      for (const int bits : {8, 4}) {
        for (const int steps : {1, 3, 50}) {
          for (const float deviation : {0.05f, 0.002f, 0.0003f}) {
            Tensor w = reference::Random(dtype, {20, 96}, static_cast<uint32_t>(steps + bits), deviation);
            std::memset(w.view().Rows(3, 4).data, 0, w.view().Rows(3, 4).bytes());
            WeightSpec spec = Ints(bits == 8 ? ElementFormat::kInt8 : ElementFormat::kInt4, WeightMethod::kSsz);
            spec.ssz_steps = steps;
            spec.ssz_float_type = float_type;
            EXPECT_THAT(reference::Floats(QuantizeWeight(w.view(), spec).scale.view()),
                        ElementsAreArray(PlainSsz(w.view(), bits, steps, float_type, 1e-30f)))
                << DTypeName(dtype) << ' ' << bits << ' ' << steps << ' ' << deviation;
          }
        }
      }
    }
  }
}

// The mean of the errors is rounded once, after the division, which shows where the width is no power of two.
TEST(Ssz, MatchesAtEveryWidth) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    for (const int64_t cols : {24, 96, 160, 1536, 3584}) {
      for (const int bits : {8, 4}) {
        const int64_t rows = std::max<int64_t>(4, 32768 / cols);
        const Tensor w = reference::Random(dtype, {rows, cols}, static_cast<uint32_t>(cols + bits), 0.05f);
        WeightSpec spec = Ints(bits == 8 ? ElementFormat::kInt8 : ElementFormat::kInt4, WeightMethod::kSsz);
        spec.ssz_float_type = dtype;
        EXPECT_THAT(reference::Floats(QuantizeWeight(w.view(), spec).scale.view()),
                    ElementsAreArray(PlainSsz(w.view(), bits, 50, dtype, 1e-30f)))
            << DTypeName(dtype) << ' ' << cols << ' ' << bits;
      }
    }
  }
}

TEST(Ssz, ARowOfNanNeverLetsTheSearchEnd) {
  for (const float deviation : {0.05f, 0.002f, 0.0003f}) {
    for (uint32_t seed = 0; seed < 5; ++seed) {
      Tensor w = reference::Random(DType::kF32, {4, 64}, seed, deviation);
      w.as<float>()[70] = kNan;
      const QuantizedWeight found = QuantizeWeight(w.view(), Ints(ElementFormat::kInt4, WeightMethod::kSsz));
      EXPECT_EQ(HasBadScale(found), 1);
      const std::vector<float> plain = PlainSsz(w.view(), 4, 50, DType::kF32, 1e-30f);
      for (const int row : {0, 2, 3}) EXPECT_EQ(found.scale.as<float>()[row], plain[row]);
    }
  }
}

TEST(Fp8, WorkedExample) {
  const std::vector<float> values = {0.5f, -1, 0.3f, 0.01f, 0, 0, 0, 0, 2, -3.5f, 0.0021f, 0.001f};
  const std::vector<int> bytes = {0x76, 0xfe, 0x70, 0x49, 0, 0, 0, 0, 0x78, 0xfe, 0x29, 0x20};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    WeightSpec spec = Ints(ElementFormat::kFp8E4M3);
    spec.keep_fp8_values = true;
    const QuantizedWeight found = QuantizeWeight(reference::Make(dtype, {3, 4}, values).view(), spec);
    const uint8_t* codes = found.codes.as<uint8_t>();
    EXPECT_THAT(std::vector<int>(codes, codes + 12), ElementsAreArray(bytes));
    const std::vector<float> unrounded = reference::Floats(found.values.view());
    if (dtype == DType::kF32) {
      EXPECT_THAT(reference::Floats(found.scale.view()),
                  ElementsAre(0.0022321429569274187f, 2.2321429389771845e-15f, 0.0078125f));
      EXPECT_THAT(std::vector<float>(unrounded.begin(), unrounded.begin() + 4),
                  ElementsAre(223.99998474121094f, -447.9999694824219f, 134.39999389648438f, 4.479999542236328f));
    } else {
      EXPECT_THAT(reference::Floats(found.scale.view()),
                  ElementsAre(0.002227783203125f, 2.2343238370581275e-15f, 0.0078125f));
      EXPECT_THAT(unrounded, ElementsAre(224, -448, 135, 4.5f, 0, 0, 0, 0, 256, -448, 0.26953125f, 0.1279296875f));
    }
    // Forward passes use the values before the rounding to 8 bits.
    const Tensor back = Dequantize(found, DType::kF32);
    EXPECT_EQ(back.as<float>()[2], RoundTo(dtype, unrounded[2] * ElementAsF32(found.scale.view(), 0)));
  }
}

const std::vector<std::vector<float>> kExampleH = {
    {1.9f, -0.7f, 0.26f, 0.0375f, 3.05f, -2.5f, 0.11f}, {}, {0.031005859375f, -0.0078125f}};

TEST(MxWeight, WorkedExampleOfDecember2025) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const bool bf16 = dtype == DType::kBF16;
    const Tensor w = Blocks(dtype, kExampleH);
    const QuantizedWeight fp8 = QuantizeWeight(w.view(), Mx(ElementFormat::kMxFp8, WeightMethod::kMinMax, true));
    EXPECT_THAT(Exponents(fp8), ElementsAre(-7, -127, bf16 ? -13 : -14));
    EXPECT_THAT(Elements(fp8, 0, 8), ElementsAre(240, -88, 32, 5, 384, -320, 14, 0));
    EXPECT_THAT(Elements(fp8, 2, 2), bf16 ? ElementsAre(256, -64) : ElementsAre(448, -128));
    const QuantizedWeight fp4 = QuantizeWeight(w.view(), Mx(ElementFormat::kMxFp4, WeightMethod::kMinMax, true));
    EXPECT_THAT(Exponents(fp4), ElementsAre(-1, -127, bf16 ? -7 : -8));
    EXPECT_THAT(Elements(fp4, 0, 8), ElementsAre(4, -1.5f, 0.5f, 0, 6, -6, 0, 0));
    EXPECT_THAT(Elements(fp4, 2, 2), bf16 ? ElementsAre(4, -1) : ElementsAre(6, -2));
  }
}

const std::vector<std::vector<float>> kExample14 = {
    {1.9f, -.7f, .26f, .0375f, 3.05f, -2.5f, .11f}, {}, {3.6f, -1, .5f}, {5.2f, 1.3f, -.9f, 2.4f}};

TEST(MxWeight, WorkedExamplesOfTheOtherMethods) {
  const Tensor w = Blocks(DType::kF32, kExample14);
  const auto exponents = [&](ElementFormat format, WeightMethod method) {
    return Exponents(QuantizeWeight(w.view(), Mx(format, method)));
  };
  EXPECT_THAT(exponents(ElementFormat::kMxFp4, WeightMethod::kMinMax), ElementsAre(-1, -22, 0, 0));
  EXPECT_THAT(exponents(ElementFormat::kMxFp4, WeightMethod::kCeilX), ElementsAre(-1, -19, -1, 0));
  EXPECT_THAT(exponents(ElementFormat::kMxFp4, WeightMethod::kFourOverSix), ElementsAre(-1, 0, 0, 0));
  EXPECT_THAT(exponents(ElementFormat::kMxFp8, WeightMethod::kMseRound), ElementsAre(-7, -127, -7, -6));
  EXPECT_THAT(exponents(ElementFormat::kMxFp8, WeightMethod::kMinMax), ElementsAre(-7, -127, -7, -6));
  const QuantizedWeight ceil = QuantizeWeight(w.view(), Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX));
  EXPECT_THAT(Elements(ceil, 2, 4), ElementsAre(6, -2, 1, 0));
  WeightSpec search = Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX);
  search.ceil_x_search = CeilXSearch{};
  EXPECT_THAT(Exponents(QuantizeWeight(w.view(), search)), ElementsAre(-1, -19, 0, 0));
}

// The candidates are counted as the reference counts them: the last may lie beyond the end of the range.
TEST(MxWeight, CeilXSearchesTheRangeThatIsAskedFor) {
  const Tensor w = reference::Random(DType::kBF16, {16, 160}, 5);
  const auto exponents = [&](float c) {
    WeightSpec spec = Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX);
    spec.ceil_x = c;
    return Exponents(QuantizeWeight(w.view(), spec));
  };
  const auto searched = [&](double min, double max, double step) {
    WeightSpec spec = Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX);
    spec.ceil_x_search = CeilXSearch{min, max, step};
    return Exponents(QuantizeWeight(w.view(), spec));
  };
  EXPECT_NE(exponents(6.0f), exponents(12.0f));
  EXPECT_EQ(searched(12.0, 12.1, 1.0), exponents(12.0f));
  EXPECT_EQ(searched(11.5, 12.0, 4.0), exponents(11.5f));  // round(0.125) steps: one candidate
  EXPECT_EQ((CeilXSearch{6.0, 12.0, 0.25}.Candidates().size()), 25u);
  EXPECT_EQ((CeilXSearch{6.0, 12.0, 4.0}.Candidates()), (std::vector<float>{6, 10, 14}));  // 1.5 rounds to 2
  EXPECT_EQ((CeilXSearch{6.0, 12.0, 2.4}.Candidates().size()), 3u);                        // 2.5 rounds to the even 2
}

// In bf16 the mean of the squared errors is a bf16 number, so that several candidates are equal; the first counts.
TEST(MxWeight, CeilXComparesErrorsAsTheWeightsTypeHoldsThem) {
  const Tensor w = reference::Random(DType::kBF16, {64, 256}, 7);
  const auto error_of = [&](const QuantizedWeight& quantized) {
    double sum = 0.0;
    const Tensor back = Dequantize(quantized, DType::kBF16);
    for (int64_t i = 0; i < w.size(); ++i) {
      const float e = RoundTo(DType::kBF16, ElementAsF32(w.view(), i) - ElementAsF32(back.view(), i));
      sum += RoundTo(DType::kBF16, e * e);
    }
    return RoundTo(DType::kBF16, static_cast<float>(sum / static_cast<double>(w.size())));
  };
  WeightSpec spec = Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX);
  std::vector<int> best;
  float least = kInf;
  for (const float c : CeilXSearch{}.Candidates()) {
    spec.ceil_x = c;
    const QuantizedWeight tried = QuantizeWeight(w.view(), spec);
    if (const float error = error_of(tried); error < least) least = error, best = Exponents(tried);
  }
  spec.ceil_x_search = CeilXSearch{};
  EXPECT_EQ(Exponents(QuantizeWeight(w.view(), spec)), best);
}

TEST(MxWeight, EqualErrorsKeepTheFirst) {
  // 3 is exact under both powers of two, 6 under the exponents of c = 6 and of c = 6.25.
  EXPECT_THAT(Exponents(QuantizeWeight(Blocks(DType::kF32, {{3}}).view(),
                                       Mx(ElementFormat::kMxFp4, WeightMethod::kFourOverSix))),
              ElementsAre(-1));
  WeightSpec search = Mx(ElementFormat::kMxFp4, WeightMethod::kCeilX);
  search.ceil_x_search = CeilXSearch{};
  EXPECT_THAT(Exponents(QuantizeWeight(Blocks(DType::kF32, {{6}}).view(), search)), ElementsAre(1));
}

TEST(MxWeight, WorkedExampleOfTheOuterScale) {
  std::vector<float> values(2 * 64, 0.0f);
  for (int row = 0; row < 4; ++row) {
    std::copy(kExample14[row].begin(), kExample14[row].end(), values.begin() + row % 2 * 64 + row / 2 * 32);
  }
  WeightSpec spec = Mx(ElementFormat::kMxFp4, WeightMethod::kDualScale);
  spec.scope = WeightScope::kDualScale;
  spec.dual_block_size = 64;
  const Tensor w = reference::Make(DType::kF32, {2, 64}, values);
  const QuantizedWeight found = QuantizeWeight(w.view(), spec);
  EXPECT_THAT(reference::Floats(found.dual_scale.view()), ElementsAre(0.5999999642372131f, 0.8666666150093079f));
  EXPECT_THAT(Exponents(found), ElementsAre(0, 0, -22, 0));
  const Tensor back = Dequantize(found, DType::kF32);
  EXPECT_EQ(back.as<float>()[32], 6.0f * 0.5999999642372131f);
  // All zero: the reference divides by zero there.
  const QuantizedWeight zero = QuantizeWeight(Tensor::Zeros(DType::kF32, {1, 64}).view(), spec);
  EXPECT_EQ(zero.dual_scale.as<float>()[0], 1.0f);
  EXPECT_EQ(HasBadScale(zero), -1);
}

TEST(MxWeight, SlowAndFastPathsAgreeAndPartBlocksWork) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const int64_t cols : {1, 31, 33, 64, 97}) {
      const Tensor w = reference::Random(dtype, {5, cols}, static_cast<uint32_t>(cols));
      for (const bool fp4 : {false, true}) {
        const QuantizedWeight found = QuantizeWeight(w.view(), Mx(fp4 ? ElementFormat::kMxFp4 : ElementFormat::kMxFp8));
        EXPECT_EQ(found.scale.shape(), (Shape{5, MxBlocks(cols)}));
        const Tensor back = Dequantize(found, DType::kF32);
        for (int64_t i = 0; i < w.size(); ++i) {
          const int exponent = found.scale.as<uint8_t>()[i / cols * MxBlocks(cols) + i % cols / 32] - 127;
          const float expected =
              reference::MxElement(ElementAsF32(w.view(), i), static_cast<float>(exponent), fp4, false);
          ASSERT_EQ(back.as<float>()[i], RoundTo(dtype, std::ldexp(expected, exponent)));
        }
      }
    }
  }
}

TEST(MxWeight, NanAndInfinityMakeTheScaleSaySo) {
  for (const bool fp4 : {false, true}) {
    Tensor w = reference::Random(DType::kBF16, {3, 64}, 1);
    w.as<BF16>()[64 + 40] = ToBF16(kNan);
    const QuantizedWeight found = QuantizeWeight(w.view(), Mx(fp4 ? ElementFormat::kMxFp4 : ElementFormat::kMxFp8));
    EXPECT_EQ(HasBadScale(found), 1);
    const Tensor back = Dequantize(found, DType::kF32);
    EXPECT_TRUE(std::isnan(back.as<float>()[64 + 33]));
    EXPECT_FALSE(std::isnan(back.as<float>()[64 + 31]));
  }
}

TEST(WeightQuantizer, BadScalesAreFound) {
  Tensor w = reference::Random(DType::kBF16, {4, 40}, 2);
  EXPECT_EQ(HasBadScale(QuantizeWeight(w.view(), Ints(ElementFormat::kInt8))), -1);
  w.as<BF16>()[2 * 40 + 5] = ToBF16(kInf);
  EXPECT_EQ(HasBadScale(QuantizeWeight(w.view(), Ints(ElementFormat::kInt8))), 2);
  EXPECT_EQ(HasBadScale(QuantizeWeight(w.view(), Ints(ElementFormat::kFp8E4M3))), 2);
}

TEST(WeightQuantizer, RefusesWhatDoesNotBelongTogether) {
  const Tensor w = reference::Random(DType::kF32, {4, 64}, 1);
  const auto code = [&](const WeightSpec& spec) {
    try {
      QuantizeWeight(w.view(), spec);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kTrivial;
  };
  EXPECT_EQ(code(Mx(ElementFormat::kMxFp4, WeightMethod::kMseRound)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(Mx(ElementFormat::kMxFp8, WeightMethod::kCeilX)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(Mx(ElementFormat::kMxFp8, WeightMethod::kSsz)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(Mx(ElementFormat::kInt8)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(Ints(ElementFormat::kMxFp4)), ErrorCode::kUnsupported);
  WeightSpec dual = Mx(ElementFormat::kMxFp4, WeightMethod::kDualScale);
  EXPECT_EQ(code(dual), ErrorCode::kUnsupported);  // needs its own scope
  dual.scope = WeightScope::kDualScale;
  EXPECT_EQ(code(dual), ErrorCode::kSchema);  // and a size
  dual.dual_block_size = 96;
  EXPECT_EQ(code(dual), ErrorCode::kUnsupported);  // that divides the columns
  WeightSpec steps = Ints(ElementFormat::kInt8, WeightMethod::kSsz);
  steps.ssz_steps = 0;
  EXPECT_EQ(code(steps), ErrorCode::kSchema);
  EXPECT_EQ(code(Ints(ElementFormat::kInt8)), ErrorCode::kTrivial);
  EXPECT_THROW(QuantizeWeight(Tensor(DType::kI8, {2, 2}).view(), Ints(ElementFormat::kInt8)), Error);
  EXPECT_THROW(QuantizeWeight(Tensor(DType::kF32, {4}).view(), Ints(ElementFormat::kInt8)), Error);
}

TEST(WeightQuantizer, AnyThreadCount) {
  std::vector<WeightSpec> specs = {
      Ints(ElementFormat::kInt8),    Ints(ElementFormat::kInt4, WeightMethod::kSsz),
      Ints(ElementFormat::kFp8E4M3), Mx(ElementFormat::kMxFp8),
      Mx(ElementFormat::kMxFp4),     Mx(ElementFormat::kMxFp4, WeightMethod::kFourOverSix)};
  const Tensor w = reference::Random(DType::kBF16, {257, 640}, 9);
  for (const WeightSpec& spec : specs) {
    SetComputeThreads(1);
    const QuantizedWeight one = QuantizeWeight(w.view(), spec);
    SetComputeThreads(4);
    const QuantizedWeight four = QuantizeWeight(w.view(), spec);
    EXPECT_TRUE(reference::SameBits(one.codes.view(), four.codes.view()));
    EXPECT_TRUE(reference::SameBits(one.scale.view(), four.scale.view()));
  }
  SetComputeThreads(0);
}

// Errors have a floor as well as a ceiling: too small an error would mean that nothing was rounded.
TEST(WeightQuantizer, ErrorsLieWhereTheStepSaysTheyMust) {
  const Tensor w = reference::Random(DType::kF32, {64, 512}, 11, 0.03f);
  const auto relative = [&](const WeightSpec& spec) {
    const Tensor back = Dequantize(QuantizeWeight(w.view(), spec), DType::kF32);
    double noise = 0.0, signal = 0.0;
    for (int64_t i = 0; i < w.size(); ++i) {
      noise += std::pow(back.as<float>()[i] - w.as<float>()[i], 2.0);
      signal += std::pow(w.as<float>()[i], 2.0);
    }
    return std::sqrt(noise / signal);
  };
  const double int8 = relative(Ints(ElementFormat::kInt8)), int4 = relative(Ints(ElementFormat::kInt4));
  const double ssz = relative(Ints(ElementFormat::kInt4, WeightMethod::kSsz)),
               fp4 = relative(Mx(ElementFormat::kMxFp4));
  const double fp8 = relative(Mx(ElementFormat::kMxFp8)), e4m3 = relative(Ints(ElementFormat::kFp8E4M3));
  EXPECT_GT(int8, 1e-3);
  EXPECT_LT(int8, 3e-2);
  EXPECT_GT(int4, 10 * int8);
  EXPECT_LT(int4, 30 * int8);
  EXPECT_LT(ssz, int4);
  EXPECT_GT(fp4, 0.08);
  EXPECT_LT(fp4, 0.2);
  for (const double error : {fp8, e4m3}) {  // 3 fraction bits: about 2^-4 / sqrt(3) of the element
    EXPECT_GT(error, 0.015);
    EXPECT_LT(error, 0.04);
  }
}

}  // namespace
}  // namespace modelslim
