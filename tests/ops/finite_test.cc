#include "ops/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/parallel.h"

namespace modelslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor Zeros(DType dtype, int64_t size) { return Tensor::Zeros(dtype, {size}); }

void Put(Tensor& x, int64_t at, float value) {
  Tensor one(DType::kF32, {1});
  *one.as<float>() = value;
  const int64_t size = static_cast<int64_t>(DTypeSize(x.dtype()));
  Convert(std::as_const(one).view(), View{static_cast<std::byte*>(x.view().data) + at * size, x.dtype(), {1}});
}

TEST(FirstNotFinite, FindsTheFirstWhateverTheTypeTheLengthAndTheThreads) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const int64_t size : {1, 7, 4096, 4097, 600000}) {
      for (const int64_t at : {int64_t{0}, size / 2, size - 1}) {
        Tensor x = Zeros(dtype, size);
        ASSERT_FALSE(FirstNotFinite(x.view()));
        Put(x, size - 1, -kInf);
        Put(x, at, NAN);
        for (const int threads : {1, 3}) {
          SetComputeThreads(threads);
          ASSERT_EQ(FirstNotFinite(x.view()), at) << DTypeName(dtype) << ' ' << size;
        }
        EXPECT_EQ(NotFiniteName(x.view(), at), "NaN");
      }
    }
  }
  SetComputeThreads(0);
}

TEST(FirstNotFinite, TheLargestNumbersAreNumbers) {
  for (const auto& [dtype, largest] : {std::pair(DType::kF32, std::numeric_limits<float>::max()),
                                       std::pair(DType::kBF16, 3.3895e38f), std::pair(DType::kF16, -65504.0f)}) {
    Tensor x = Zeros(dtype, 3);
    Put(x, 1, largest);
    EXPECT_FALSE(FirstNotFinite(x.view()));
    Put(x, 2, kInf);
    ASSERT_EQ(FirstNotFinite(x.view()), 2);
    EXPECT_EQ(NotFiniteName(x.view(), 2), "infinity");
    Put(x, 2, -kInf);
    EXPECT_EQ(NotFiniteName(x.view(), 2), "-infinity");
  }
}

TEST(FirstNotFinite, OtherTypes) {
  Tensor fp8 = Zeros(DType::kF8E4M3, 5);
  fp8.as<uint8_t>()[3] = 0x7e;  // 448
  EXPECT_FALSE(FirstNotFinite(fp8.view()));
  fp8.as<uint8_t>()[4] = 0xff;
  EXPECT_EQ(FirstNotFinite(fp8.view()), 4);
  EXPECT_EQ(NotFiniteName(fp8.view(), 4), "NaN");
  Tensor f64(DType::kF64, {2});
  f64.as<double>()[0] = 1e308;
  f64.as<double>()[1] = -HUGE_VAL;
  EXPECT_EQ(FirstNotFinite(f64.view()), 1);
  EXPECT_EQ(NotFiniteName(f64.view(), 1), "-infinity");
  Tensor integers(DType::kI8, {4});
  std::memset(integers.view().data, 0xff, 4);
  EXPECT_FALSE(FirstNotFinite(integers.view()));
  EXPECT_FALSE(FirstNotFinite(Tensor(DType::kF32, {0}).view()));
}

// Tensors of a checkpoint lie where its header ends.
TEST(FirstNotFinite, UnalignedData) {
  std::vector<std::byte> bytes(4 * 9 + 1);
  const float nan = NAN;
  std::memcpy(bytes.data() + 1 + 4 * 6, &nan, sizeof nan);
  EXPECT_EQ(FirstNotFinite(ConstView{bytes.data() + 1, DType::kF32, {9}}), 6);
  EXPECT_EQ(NotFiniteName(ConstView{bytes.data() + 1, DType::kF32, {9}}, 6), "NaN");
}

}  // namespace
}  // namespace modelslim
