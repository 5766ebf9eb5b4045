#include "ops/coded_weight.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

float E4M3Value(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24, rest = code & 0x7fu;
  const float magnitude = std::bit_cast<float>(rest << 20) * 0x1p120f;
  const uint32_t bits = rest == 0x7f ? 0x7fc00000u : std::bit_cast<uint32_t>(magnitude);
  return std::bit_cast<float>(sign | bits);
}

float E2M1Value(unsigned code) {
  constexpr float kMagnitudes[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  return (code & 8u) != 0 ? -kMagnitudes[code & 7u] : kMagnitudes[code & 7u];
}

// 2^(byte - 127); 255 is NaN. The smallest is below the normal numbers, and exact.
float E8M0Value(uint8_t byte) {
  if (byte == 255) return std::bit_cast<float>(0x7fc00000u);
  return byte == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<uint32_t>(byte) << 23);
}

float ScaleAt(const ConstView& scales, int64_t index) {
  if (DTypeSize(scales.dtype) == 1) return E8M0Value(scales.as<uint8_t>()[index]);
  return ElementAsF32(scales, index);
}

using Table = std::array<float, 256>;

Table TableOf(WeightCode code) {
  Table table{};
  for (unsigned i = 0; i < table.size(); ++i) {
    const auto byte = static_cast<uint8_t>(i);
    table[i] = code == WeightCode::kFp8    ? E4M3Value(byte)
               : code == WeightCode::kInt8 ? static_cast<float>(static_cast<int8_t>(byte))
                                           : E2M1Value(i & 15u);
  }
  return table;
}

MODELSLIM_MULTIVERSION void LookUp(const uint8_t* codes, const float* table, int64_t count, float* numbers) {
  for (int64_t i = 0; i < count; ++i) numbers[i] = table[codes[i]];
}

MODELSLIM_MULTIVERSION void LookUpPairs(const uint8_t* codes, const float* table, int64_t count, float* numbers) {
  for (int64_t i = 0; i + 1 < count; i += 2) {
    numbers[i] = table[codes[i / 2] & 15u];
    numbers[i + 1] = table[codes[i / 2] >> 4];
  }
  if (count % 2 != 0) numbers[count - 1] = table[codes[count / 2] & 15u];
}

MODELSLIM_MULTIVERSION void Unpack(const uint32_t* words, int64_t count, float* numbers) {
  for (int64_t i = 0; i < count; ++i)
    numbers[i] = static_cast<float>(static_cast<int>((words[i / 8] >> (4 * (i % 8))) & 15u) - 8);
}

float ZeroAt(const CodedWeight& weight, int64_t row, int64_t group, int64_t groups) {
  if (weight.zeros.data == nullptr) return 0;
  if (weight.zeros.dtype == DType::kI8) return static_cast<float>(weight.zeros.as<int8_t>()[row * groups + group]);
  const uint32_t word = weight.zeros.as<uint32_t>()[row / 8 * groups + group];
  return static_cast<float>(static_cast<int>((word >> (4 * (row % 8))) & 15u) - 8);
}

// The codes of one row as numbers.
void NumbersOf(const CodedWeight& weight, const Table& table, int64_t row, float* numbers) {
  const auto* const bytes = static_cast<const uint8_t*>(weight.codes.data);
  const auto stride = static_cast<int64_t>(static_cast<size_t>(weight.codes.cols()) * DTypeSize(weight.codes.dtype));
  const uint8_t* const codes = bytes + row * stride;
  if (weight.code == WeightCode::kInt4) {
    Unpack(reinterpret_cast<const uint32_t*>(codes), weight.in, numbers);
  } else if (weight.code == WeightCode::kFp4) {
    LookUpPairs(codes, table.data(), weight.in, numbers);
  } else {
    LookUp(codes, table.data(), weight.in, numbers);
  }
}

MODELSLIM_MULTIVERSION void Scale(const float* numbers, float zero, float scale, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = (numbers[i] - zero) * scale;
}
MODELSLIM_MULTIVERSION void Scale(const float* numbers, float zero, float scale, int64_t count, BF16* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = ToBF16((numbers[i] - zero) * scale);
}
MODELSLIM_MULTIVERSION void Scale(const float* numbers, float zero, float scale, int64_t count, F16* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = ToF16((numbers[i] - zero) * scale);
}

template <class To>
void DecodeRow(const CodedWeight& weight, const Table& table, int64_t row, std::vector<float>& numbers, To* to) {
  NumbersOf(weight, table, row, numbers.data());
  const int64_t groups = (weight.in + weight.block_cols - 1) / weight.block_cols;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * weight.block_cols, count = std::min(weight.block_cols, weight.in - begin);
    const float scale = ScaleAt(weight.scales, row / weight.block_rows * groups + g);
    Scale(numbers.data() + begin, ZeroAt(weight, row, g, groups), scale, count, to + begin);
  }
}

}  // namespace

void DecodeRows(const CodedWeight& weight, int64_t first, int64_t step, const View& to) {
  MODELSLIM_CHECK(to.shape.size() == 2 && to.cols() == weight.in && weight.block_rows > 0 && weight.block_cols > 0);
  const Table table = TableOf(weight.code);
  WithModelDType(to.dtype, [&](auto tag) {
    using To = decltype(tag);
    To* const out = to.as<To>();
    ParallelRanges(to.rows(), 16, [&](int64_t begin, int64_t end) {
      std::vector<float> numbers(static_cast<size_t>(weight.in));
      for (int64_t k = begin; k < end; ++k) DecodeRow(weight, table, first + k * step, numbers, out + k * weight.in);
    });
  });
}

void CopyRowsBy(const ConstView& from, int64_t first, int64_t step, const View& to) {
  MODELSLIM_CHECK(from.dtype == to.dtype && from.cols() == to.cols());
  const size_t bytes = static_cast<size_t>(to.cols()) * DTypeSize(to.dtype);
  ParallelRanges(to.rows(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      std::memcpy(static_cast<std::byte*>(to.data) + static_cast<size_t>(k) * bytes,
                  static_cast<const std::byte*>(from.data) + static_cast<size_t>(first + k * step) * bytes, bytes);
    }
  });
}

namespace {

// Squares of this side stay in the first cache while they are turned.
constexpr int64_t kTile = 64;

template <class T>
void Turn(const ConstView& from, int64_t first, int64_t step, const View& to) {
  const int64_t wide = from.cols(), rows = to.rows(), cols = to.cols();
  const T* const source = from.as<T>();
  T* const target = to.as<T>();
  ParallelRanges(rows, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t column = 0; column < cols; column += kTile) {
      const int64_t stop = std::min(cols, column + kTile);
      for (int64_t k = begin; k < end; ++k) {
        for (int64_t i = column; i < stop; ++i) target[k * cols + i] = source[i * wide + first + k * step];
      }
    }
  });
}

}  // namespace

void CopyColumnsAsRows(const ConstView& from, int64_t first, int64_t step, const View& to) {
  MODELSLIM_CHECK(from.dtype == to.dtype && from.rows() == to.cols());
  switch (DTypeSize(to.dtype)) {
    case 1:
      return Turn<uint8_t>(from, first, step, to);
    case 2:
      return Turn<uint16_t>(from, first, step, to);
    case 4:
      return Turn<uint32_t>(from, first, step, to);
    default:
      return Turn<uint64_t>(from, first, step, to);
  }
}

}  // namespace modelslim
