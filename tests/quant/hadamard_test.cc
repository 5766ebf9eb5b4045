#include "quant/rotation/hadamard.h"

#include <gtest/gtest.h>

#include <map>

#include "quant/rotation/rotation.h"

namespace modelslim {
namespace {

// CRC-32 as zlib computes it.
uint32_t Crc32(const std::string& text) {
  uint32_t crc = 0xffffffffu;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

template <class T>
std::string SignText(const T* values, int64_t count) {
  std::string text(count, '-');
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] > 0) text[i] = '+';
  }
  return text;
}

TEST(Hadamard, BaseMatricesAreThoseOfTheReference) {
  const std::map<int64_t, uint32_t> expected = {
      {12, 0x91ae9d0f},  {20, 0xde407c33},  {28, 0xce493533},  {36, 0x53e7c0da},  {40, 0xbb96b57c},
      {52, 0x35710736},  {60, 0xff493f52},  {76, 0xe8c33572},  {108, 0x77640e64}, {136, 0x88698781},
      {140, 0xd687d4b1}, {156, 0x8ece1aa8}, {160, 0xcdd142bc}, {172, 0xb4a93561}, {200, 0xcdd27386}};
  ASSERT_EQ(BaseHadamardOrders().size(), expected.size());
  for (const int64_t k : BaseHadamardOrders()) {
    const auto t = BaseHadamard(k);
    EXPECT_EQ(Crc32(SignText(t.data(), k * k)), expected.at(k)) << k;
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        int64_t dot = 0;
        for (int64_t c = 0; c < k; ++c) dot += t[i * k + c] * t[j * k + c];
        ASSERT_EQ(dot, i == j ? k : 0) << k << ": rows " << i << ", " << j;
      }
    }
  }
}

TEST(Hadamard, LargestBaseOrderWins) {
  const std::map<int64_t, int64_t> expected = {{5120, 160}, {2560, 160},  {7168, 28},   {3584, 28},   {1536, 12},
                                               {4096, 1},   {27648, 108}, {25600, 200}, {17408, 136}, {1, 1},
                                               {2, 1},      {24, 12},     {80, 40}};
  for (const auto& [n, k] : expected) EXPECT_EQ(HadamardBaseOrder(n), k) << n;
  for (const int64_t n : {18944, 29568, 148, 44, 3, 0, -4, 6}) EXPECT_FALSE(HadamardBaseOrder(n)) << n;
}

TEST(Hadamard, SignsAreTheLowestBitsOfMersenneTwister) {
  const std::map<uint32_t, std::string> expected = {
      {1234, "1101000111110010000000001011001001010001110110101011110101100100"},
      {42, "0100010001000010111010111111110011101000001111101101010110000000"}};
  for (const auto& [seed, bits] : expected) {
    const auto signs = RandomSigns(64, seed);
    for (size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(signs[i], bits[i] == '1' ? 1.0f : -1.0f) << seed << " " << i;
  }
}

TEST(Hadamard, RotationsAreThoseOfTheReference) {
  const std::map<int64_t, uint32_t> expected = {{8, 0xb34a7888},    {12, 0x7b3ba9f6},   {24, 0x16885104},
                                                {28, 0xf9edbb26},   {40, 0x20121a12},   {64, 0xd4c640cd},
                                                {128, 0x7f228063},  {160, 0x59b6bf5a},  {320, 0x84db6c57},
                                                {1536, 0x0b2d3beb}, {2048, 0x6f69bc34}, {4096, 0x4200f811}};
  for (const auto& [n, crc] : expected) {
    const Tensor r = Rotation::Make(n).Dense();
    EXPECT_EQ(Crc32(SignText(r.as<float>(), n * n)), crc) << n;
    const float magnitude = 1.0f / std::sqrt(static_cast<float>(n));
    for (int64_t i = 0; i < n * n; ++i) ASSERT_EQ(std::fabs(r.as<float>()[i]), magnitude) << n << " element " << i;
  }
}

// The two largest orders of the sheet, by rows so that no n * n matrix is held.
TEST(Hadamard, LargeRotationsAreThoseOfTheReference) {
  for (const auto& [n, crc] : std::map<int64_t, uint32_t>{{5120, 0xb341c32f}, {7168, 0x49cc1801}}) {
    const Rotation rotation = Rotation::Make(n);
    std::string text;
    std::vector<float> row(n);
    for (int64_t i = 0; i < n; ++i) {
      std::fill(row.begin(), row.end(), 0.0f);
      row[i] = 1.0f;
      rotation.ApplyRows(row.data(), 1, n);
      text += SignText(row.data(), n);
    }
    EXPECT_EQ(Crc32(text), crc) << n;
  }
}

}  // namespace
}  // namespace modelslim
