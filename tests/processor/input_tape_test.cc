#include "processor/observing/input_tape.h"

#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace modelslim {
namespace {

constexpr int64_t kChannels = 6;

Tensor Counting(int64_t rows) {
  Tensor made(DType::kF32, {rows, kChannels});
  for (int64_t i = 0; i < made.size(); ++i) made.as<float>()[i] = static_cast<float>(i);
  return made;
}

// The rows of every fold when `samples` come in chunks that end where `ends` says.
std::vector<std::vector<float>> Folds(const std::vector<int64_t>& samples, const std::vector<size_t>& ends) {
  const TemporaryDirectory scratch;
  std::vector<std::vector<float>> folds;
  WaitingInputs inputs(scratch.path(), kChannels, [&](InputTape& tape) {
    const ConstView rows = tape.Rows(0, tape.rows());
    folds.emplace_back(rows.as<float>(), rows.as<float>() + rows.size());
  });
  int64_t total = 0;
  for (const int64_t rows : samples) total += rows;
  const Tensor all = Counting(total);
  int64_t at = 0;
  size_t sample = 0;
  for (const size_t end : ends) {
    std::vector<int64_t> offsets = {0};
    const auto first = static_cast<int64_t>(sample);
    for (; sample < end; ++sample) offsets.push_back(offsets.back() + samples[sample]);
    inputs.Add(all.view().Rows(at, at + offsets.back()), {offsets, first});
    at += offsets.back();
  }
  EXPECT_EQ(inputs.rows(), total);
  inputs.Finish();
  inputs.Finish();  // nothing waits any more
  return folds;
}

TEST(WaitingInputs, FoldWhenTheyAreAsLargeAsTheStatistic) {
  const auto folds = Folds({4, 0, 1, 3, 2, 5, 1}, {7});
  ASSERT_EQ(folds.size(), 3U);
  EXPECT_EQ(folds[0].size(), 8U * kChannels);  // six rows of f32 are as large as six by six; samples stay whole
  EXPECT_EQ(folds[1].size(), 7U * kChannels);
  EXPECT_EQ(folds[1].front(), 8.0f * kChannels);
  EXPECT_EQ(folds[2].size(), 1U * kChannels);  // the rest, when somebody asks
}

TEST(WaitingInputs, ChunksChangeNothing) {
  const std::vector<int64_t> samples = {4, 0, 1, 3, 2, 5, 1};
  const auto whole = Folds(samples, {7});
  EXPECT_EQ(Folds(samples, {1, 2, 3, 4, 5, 6, 7}), whole);
  EXPECT_EQ(Folds(samples, {3, 7}), whole);
}

TEST(WaitingInputs, NothingComesOfNothing) { EXPECT_TRUE(Folds({0, 0}, {1, 2}).empty()); }

}  // namespace
}  // namespace modelslim
