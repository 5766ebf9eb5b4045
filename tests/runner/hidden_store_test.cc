#include "runner/hidden_store.h"

#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace modelslim {
namespace {

TEST(HiddenFile, KeepsItsBytesAndItsType) {
  const TemporaryDirectory directory;
  {
    HiddenFile file(directory / "h", 4, 3, false);
    file.set_dtype(DType::kBF16);
    file.Rows(2, 3).as<BF16>()[1] = ToBF16(1.5f);
    file.Sync();
  }
  HiddenFile file(directory / "h", 4, 3, true);
  file.set_dtype(DType::kBF16);
  EXPECT_EQ(ToF32(file.All().as<BF16>()[7]), 1.5f);
  EXPECT_EQ(file.Rows(1, 3).rows(), 2);
}

}  // namespace
}  // namespace modelslim
