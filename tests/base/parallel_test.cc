#include "base/parallel.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
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

TEST(Parallel, ThereIsABoundOnTheNumber) {
  EXPECT_GE(MostComputeThreads(), 64);
  SetComputeThreads(1000000);
  EXPECT_EQ(ComputeThreads(), MostComputeThreads());
  std::atomic<int> count{0};
  ParallelFor(1000, [&](int64_t) { ++count; });
  EXPECT_EQ(count, 1000);
  SetComputeThreads(0);
}

// A process of its own, because a limit that was lowered cannot be raised again.
TEST(ParallelDeathTest, GoesOnWithTheThreadsThatThereAre) {
  const auto run = [] {
    // Address space for some stacks, but not for all.
    std::ifstream status("/proc/self/statm");
    uint64_t pages = 0;
    status >> pages;
    const uint64_t limit = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + (uint64_t{100} << 20);
    const rlimit space{limit, limit};
    if (setrlimit(RLIMIT_AS, &space) != 0) _exit(0);
    SetComputeThreads(60);
    std::atomic<int> count{0};
    ParallelFor(1000, [&](int64_t) { ++count; });
    std::thread other;
    if (TryStartThread(other, [] {})) other.join();
    _exit(count == 1000 && ComputeThreads() < 60 ? 0 : 1);
  };
  SetComputeThreads(1);  // no thread lives when the process is copied
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "threads could be started");
  SetComputeThreads(0);
}

TEST(Parallel, NestedLoopsRunSerially) {
  std::atomic<int> count{0};
  ParallelFor(4, [&](int64_t) { ParallelFor(5, [&](int64_t) { ++count; }); });
  EXPECT_EQ(count, 20);
}

}  // namespace
}  // namespace modelslim
