#include "quant/weights/row_kernels.h"

#include <gtest/gtest.h>

#include <bit>

#include "quant/numbers/mx.h"
#include "quant/weights/row_kernels_wide.h"
#include "quant/weights/weight_quantizer.h"
#include "reference.h"

namespace modelslim {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kBF16, DType::kF16};

// Rows that go wrong first: zero, NaN, infinity, constant, tiny, huge, one value, ties.
Tensor AwkwardRows(DType dtype, int64_t cols) {
  std::vector<float> values;
  const float top = dtype == DType::kF16 ? 60000.0f : 3e38f;
  const auto row = [&](auto of) {
    for (int64_t i = 0; i < cols; ++i) values.push_back(of(i));
  };
  row([](int64_t) { return 0.0f; });
  row([&](int64_t i) { return i == cols / 2 ? NAN : 1.0f; });
  row([&](int64_t i) { return i == cols - 1 ? -INFINITY : static_cast<float>(i); });
  row([](int64_t) { return -0.75f; });
  row([](int64_t i) { return 1e-38f * static_cast<float>(i % 3); });
  row([&](int64_t i) { return top * (i % 2 == 0 ? 1.0f : -0.3f); });
  row([](int64_t i) { return i == 0 ? -0.0f : 0.0f; });
  row([](int64_t i) { return 0.25f * static_cast<float>(i % 29 - 14); });
  row([](int64_t i) { return std::ldexp(i % 2 == 0 ? 1.0f : -1.0f, -static_cast<int>(i % 40)); });
  row([](int64_t i) {
    return std::ldexp(1.0f + 0.0078125f * static_cast<float>(i % 128), static_cast<int>(i % 24) - 16);
  });
  // Around the steps of e2m1 and e4m3, under small and large exponents, beside numbers that vanish.
  for (const int exponent : {-90, -3, 0, 1, 9, 14}) {
    row([&](int64_t i) {
      const float step = std::ldexp(0.25f, static_cast<int>(i % 5)), sign = i % 2 == 0 ? 1.0f : -1.0f;
      const float near = i % 3 == 0 ? step : std::nextafterf(step, i % 3 == 1 ? 0.0f : 8.0f);
      const float tiny = std::ldexp(1.0f, -126 - static_cast<int>(i % 24));
      return sign * (i % 7 == 6 && dtype == DType::kF32 ? tiny : std::ldexp(near, exponent));
    });
  }
  return reference::Make(dtype, {static_cast<int64_t>(values.size()) / cols, cols}, values);
}

// Random and awkward matrices of every model dtype and of sizes around the vector widths and blocks.
template <class Check>
void ForMatricesOnce(const Check& check) {
  for (const DType dtype : kTypes) {
    for (const int64_t cols : {2, 6, 30, 32, 34, 64, 66, 126, 1024, 1056, 2050}) {
      SCOPED_TRACE(std::string(DTypeName(dtype)) + " x " + std::to_string(cols));
      check(AwkwardRows(dtype, cols));
      for (const float deviation : {1e-7f, 0.02f, 3.0f, 5000.0f}) {
        check(reference::Random(dtype, {6, cols}, static_cast<uint32_t>(cols), deviation));
      }
    }
  }
}

// With the vectors of this machine, then with the portable loops.
template <class Check>
void ForMatrices(const Check& check) {
  for (const bool portable : {false, true}) {
    SCOPED_TRACE(portable ? "portable" : "wide");
    UsePortableRowKernels(portable);
    ForMatricesOnce(check);
  }
  UsePortableRowKernels(false);
}

// Two columns in a byte, the even one in the low nibble.
Tensor Unpacked(const Tensor& packed) {
  Tensor codes(DType::kU8, {packed.view().rows(), 2 * packed.view().cols()});
  for (int64_t i = 0; i < packed.size(); ++i) {
    codes.as<uint8_t>()[2 * i] = packed.as<uint8_t>()[i] & 15u;
    codes.as<uint8_t>()[2 * i + 1] = packed.as<uint8_t>()[i] >> 4;
  }
  return codes;
}

float RowMax(const ConstView& w, int64_t row) {
  float largest = 0.0f;
  for (int64_t i = 0; i < w.cols(); ++i) {
    largest = reference::NanMax(largest, std::fabs(ElementAsF32(w, row * w.cols() + i)));
  }
  return largest;
}

void ExpectFloat(float found, float expected, const std::string& where) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << where;
  } else {
    EXPECT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(expected))
        << where << ' ' << found << ' ' << expected;
  }
}

TEST(RowKernels, IntegersMatchTheReference) {
  for (const int bits : {8, 4}) {
    ForMatrices([&](const Tensor& w) {
      const int64_t rows = w.view().rows(), cols = w.view().cols();
      std::vector<int8_t> q(w.size());
      std::vector<float> scale(rows);
      QuantizeRowsMinMax(w.view(), bits, q.data(), scale.data());
      for (int64_t row = 0; row < rows; ++row) {
        const float largest = RowMax(w.view(), row);
        const reference::Params params = reference::ParamsOf(-largest, largest, w.dtype(), bits, true);
        ExpectFloat(scale[row], params.scale, "scale of row " + std::to_string(row));
        for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
          const int expected = reference::QuantizeOne(ElementAsF32(w.view(), i), params, w.dtype(), bits);
          ASSERT_EQ(q[i], expected) << "row " << row << " value " << ElementAsF32(w.view(), i) << " scale "
                                    << scale[row];
        }
      }
    });
  }
}

TEST(RowKernels, Fp8MatchesTheReference) {
  ForMatrices([&](const Tensor& w) {
    const int64_t rows = w.view().rows(), cols = w.view().cols();
    std::vector<uint8_t> codes(w.size());
    std::vector<float> scale(rows);
    QuantizeRowsFp8(w.view(), codes.data(), scale.data());
    for (int64_t row = 0; row < rows; ++row) {
      const float expected = reference::Fp8Scale(RowMax(w.view(), row), w.dtype());
      ExpectFloat(scale[row], expected, "scale");
      for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
        const float value = reference::Fp8Value(ElementAsF32(w.view(), i), expected, w.dtype());
        const uint8_t code = F32ToE4M3(value);
        if (std::isnan(value)) {
          ASSERT_EQ(codes[i] & 0x7f, 0x7f);
        } else {
          ASSERT_EQ(codes[i], code) << ElementAsF32(w.view(), i) << " / " << expected << " = " << value;
        }
      }
    }
  });
}

void QuantizeRowsMx(const ConstView& rows, bool fp4, uint8_t* codes, uint8_t* exponents) {
  QuantizeRowsMx(rows, MxRule{fp4}, MxMinMaxTable(rows.dtype, fp4, false), codes, exponents);
}

void CheckMx(const Tensor& w, bool fp4, const uint8_t* codes, const uint8_t* exponents) {
  const int64_t rows = w.view().rows(), cols = w.view().cols(), blocks = MxBlocks(cols);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = row * cols + block * 32, end = std::min(begin + 32, (row + 1) * cols);
      float largest = 0.0f;
      for (int64_t i = begin; i < end; ++i) largest = reference::NanMax(largest, std::fabs(ElementAsF32(w.view(), i)));
      const float exponent = reference::MxExponent(largest, w.dtype(), fp4, false);
      const uint8_t stored = exponents[row * blocks + block];
      if (std::isnan(exponent)) {
        ASSERT_EQ(stored, 255);
        continue;
      }
      ASSERT_EQ(stored, std::max(0, static_cast<int>(exponent) + 127)) << "largest " << largest;
      for (int64_t i = begin; i < end; ++i) {
        const float value = ElementAsF32(w.view(), i), expected = reference::MxElement(value, exponent, fp4, false);
        const float found = fp4 ? MxCodeValue(codes[i], true) : E4M3ToF32(codes[i]);
        ASSERT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(expected))
            << value << " with exponent " << exponent << ": " << found << ", expected " << expected;
      }
    }
  }
}

TEST(RowKernels, MxFp8MatchesTheReference) {
  ForMatrices([&](const Tensor& w) {
    std::vector<uint8_t> codes(w.size()), exponents(w.view().rows() * MxBlocks(w.view().cols()));
    QuantizeRowsMx(w.view(), false, codes.data(), exponents.data());
    CheckMx(w, false, codes.data(), exponents.data());
  });
}

TEST(RowKernels, MxFp4MatchesTheReference) {
  ForMatrices([&](const Tensor& w) {
    Tensor packed(DType::kU8, {w.view().rows(), w.view().cols() / 2});
    std::vector<uint8_t> exponents(w.view().rows() * MxBlocks(w.view().cols()));
    QuantizeRowsMx(w.view(), true, packed.as<uint8_t>(), exponents.data());
    const Tensor codes = Unpacked(packed);
    CheckMx(w, true, codes.as<uint8_t>(), exponents.data());
  });
}

// Every bf16 number under every exponent that the short path takes, and floats around every rounding border.
void CheckBorders(bool fp4) {
  {
    std::vector<float> borders;
    const int codes = fp4 ? 7 : 126;
    for (int code = 0; code < codes; ++code) {
      const float low = MxCodeValue(static_cast<uint8_t>(code), fp4),
                  high = MxCodeValue(static_cast<uint8_t>(code + 1), fp4);
      float value = std::nextafter(std::nextafter((low + high) / 2.0f, 0.0f), 0.0f);
      for (int i = 0; i < 5; ++i, value = std::nextafter(value, 1e9f)) borders.push_back(value);
    }
    const size_t blocks = (2 * borders.size() + 30) / 31;
    std::vector<float> values;
    const float top = fp4 ? 6.0f : 448.0f;
    for (size_t block = 0, next = 0; block < blocks; ++block) {
      values.push_back(top);
      for (int i = 1; i < 32; ++i, ++next) {
        values.push_back(next / 2 < borders.size() ? borders[next / 2] * (next % 2 == 0 ? 1.0f : -1.0f) : 0.0f);
      }
    }
    for (const int shift : {0, -20, 9}) {
      std::vector<float> scaled = values;
      for (float& value : scaled) value = std::ldexp(value, shift);
      for (const DType dtype : kTypes) {
        const Tensor w = reference::Make(dtype, {1, static_cast<int64_t>(scaled.size())}, scaled);
        std::vector<uint8_t> made(w.size()), exponents(blocks);
        if (fp4) {
          Tensor packed(DType::kU8, {1, w.size() / 2});
          QuantizeRowsMx(w.view(), true, packed.as<uint8_t>(), exponents.data());
          const Tensor unpacked = Unpacked(packed);
          std::memcpy(made.data(), unpacked.as<uint8_t>(), made.size());
        } else {
          QuantizeRowsMx(w.view(), false, made.data(), exponents.data());
        }
        CheckMx(w, fp4, made.data(), exponents.data());
      }
    }
  }
}

TEST(RowKernels, MxElementsAtEveryBorder) {
  for (const bool portable : {false, true}) {
    UsePortableRowKernels(portable);
    CheckBorders(true);
    CheckBorders(false);
  }
  UsePortableRowKernels(false);
}

TEST(RowKernels, ExponentTablesMatchTheFormula) {
  for (const bool fp4 : {false, true}) {
    for (const bool old : {false, true}) {
      for (const DType dtype : kTypes) {
        const MxExponentTable& table = MxMinMaxTable(dtype, fp4, old);
        for (uint32_t bits = 0; bits < 0x7f800000u; bits += dtype == DType::kF32 ? 9973u : 0x10000u) {
          uint32_t key = bits;
          float value = std::bit_cast<float>(bits);
          if (dtype == DType::kBF16) key = bits >> 16;
          if (dtype == DType::kF16) key = bits >> 16, value = ToF32(F16{static_cast<uint16_t>(key)});
          if (std::isnan(value)) continue;
          const float expected = reference::MxExponent(value, dtype, fp4, old);
          ASSERT_EQ(table(key), std::isnan(expected) ? kMxNan : static_cast<int>(expected)) << value;
        }
      }
    }
  }
}

// The bf16 kernels multiply by a reciprocal: every pair of significands, at exponents that occur.
TEST(RowKernels, Bf16QuotientsNeedNoDivision) {
  for (uint32_t s = 128; s < 256; ++s) {
    for (uint32_t x = 128; x < 256; ++x) {
      const float scale = std::ldexp(static_cast<float>(s), -15), value = std::ldexp(static_cast<float>(x), -9);
      ASSERT_EQ(RoundTo<BF16>(value * (1.0f / scale)), RoundTo<BF16>(value / scale)) << value << ' ' << scale;
    }
  }
}

}  // namespace
}  // namespace modelslim
