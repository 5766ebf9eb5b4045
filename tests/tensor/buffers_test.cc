#include "tensor/buffers.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "tensor/tensor.h"

namespace modelslim {
namespace {

constexpr int64_t kMiB = 1 << 20;

Tensor Touched(int64_t mebibytes) {
  Tensor tensor(DType::kU8, {mebibytes * kMiB});
  std::memset(tensor.view().data, 1, tensor.bytes());
  return tensor;
}

TEST(Buffers, CountWhatTensorsHold) {
  const uint64_t before = MemoryOfTensors().now;
  {
    const Tensor small(DType::kF32, {100}), large(DType::kU8, {3 * kMiB});
    const TensorMemory now = MemoryOfTensors();
    EXPECT_GE(now.now, before + small.bytes() + large.bytes());
    EXPECT_LE(now.now, before + small.bytes() + large.bytes() + large.bytes() / 4);
    EXPECT_GE(now.peak, now.now);
  }
  EXPECT_EQ(MemoryOfTensors().now, before);
  ResetTensorPeak();
  EXPECT_EQ(MemoryOfTensors().peak, before);
}

TEST(Buffers, AreAligned) {
  for (const int64_t size : {1, 63, 5000, 1 << 20, (1 << 20) + 1, (6 << 20) + 3}) {
    const Tensor tensor(DType::kU8, {size});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.view().data) % 64, 0U) << size;
  }
}

TEST(Buffers, OfAboutTheSameSizeAreUsedAgain) {
  const void* first = nullptr;
  {
    const Tensor tensor = Touched(9);
    first = tensor.view().data;
  }
  const Tensor again(DType::kU8, {9 * kMiB - 5000});
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(again.view().data, first);
#endif
}

// Whatever sizes come and go, the process never takes more than the tensors that live together.
TEST(Buffers, WhatWaitsNeverRaisesThePeak) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  const uint64_t before = AnonymousMemory();
  ASSERT_GT(before, 0U);
  uint64_t most = 0;
  for (int round = 0; round < 3; ++round) {
    for (int64_t size = 3; size < 60; size += 7) {  // every one too large for what the one before left
      const Tensor tensor = Touched(size);
      most = std::max(most, AnonymousMemory());
    }
    std::vector<Tensor> together;
    for (int i = 0; i < 12; ++i) together.push_back(Touched(5));
    most = std::max(most, AnonymousMemory());
  }
  EXPECT_LE(most, before + 63 * kMiB);
}

}  // namespace
}  // namespace modelslim
