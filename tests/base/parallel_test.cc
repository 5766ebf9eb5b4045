#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/error.h"

namespace modelslim {
namespace {

TEST(Parallel, EveryIndexOnceAtAnyThreadCount) {
  for (const int threads : {1, 2, 3, 7}) {
    SetComputeThreads(threads);
    EXPECT_EQ(ComputeThreads(), threads);
    for (const int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> seen(count);
      ParallelFor(count, [&](int64_t i) { ++seen[i]; });
      for (const auto& times : seen) EXPECT_EQ(times, 1);
    }
  }
  SetComputeThreads(0);
}

TEST(Parallel, PiecesDoNotDependOnThreads) {
  for (const int threads : {1, 4}) {
    SetComputeThreads(threads);
    std::atomic<int64_t> sum{0};
    ParallelRanges(100, 7, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(begin % 7, 0);
      EXPECT_LE(end - begin, 7);
      sum += end - begin;
    });
    EXPECT_EQ(sum, 100);
  }
  SetComputeThreads(0);
}

TEST(Parallel, ExceptionsReachTheCaller) {
  SetComputeThreads(3);
  EXPECT_THROW(ParallelFor(50,
                           [](int64_t i) {
                             if (i == 17) throw Error(ErrorCode::kUnexpected, "broken");
                           }),
               Error);
  std::atomic<int> after{0};
  ParallelFor(10, [&](int64_t) { ++after; });
  EXPECT_EQ(after, 10);
  SetComputeThreads(0);
}

TEST(Parallel, NestedLoopsRunSerially) {
  std::atomic<int> count{0};
  ParallelFor(4, [&](int64_t) { ParallelFor(5, [&](int64_t) { ++count; }); });
  EXPECT_EQ(count, 20);
}

}  // namespace
}  // namespace modelslim
