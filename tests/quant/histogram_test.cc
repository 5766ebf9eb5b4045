#include "quant/activations/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/parallel.h"
#include "quant/activations/activation.h"
#include "reference.h"

namespace modelslim {
namespace {

using ::testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

ActivationSpec Spec(bool symmetric) {
  ActivationSpec spec;
  spec.symmetric = symmetric;
  spec.method = ActivationMethod::kHistogram;
  return spec;
}

struct Result {
  AffineParams params;
  std::vector<float> out;  // of the last batch
};

// Batches one call each.
Result Calibrated(DType dtype, const std::vector<std::vector<float>>& batches, bool symmetric = false) {
  ActivationQuantizer quantizer(Spec(symmetric));
  Result result;
  for (const std::vector<float>& batch : batches) {
    const int64_t n = static_cast<int64_t>(batch.size());
    const Tensor x = reference::Make(dtype, {n, 1}, batch);
    Tensor out(dtype, x.shape());
    const int64_t offsets[] = {0, n};
    quantizer.Calibrate(x.view(), offsets, out.view());
    result.out = reference::Floats(out.view());
  }
  const AffineTable table = *quantizer.params();
  result.params = {table.scale[0], table.offset[0], table.dtype};
  return result;
}

Histogram Folded(const std::vector<std::vector<float>>& batches) {
  Histogram histogram;
  for (const std::vector<float>& batch : batches) {
    const Range range =
        histogram.Union(*std::min_element(batch.begin(), batch.end()), *std::max_element(batch.begin(), batch.end()));
    std::array<int64_t, kHistogramBins> counts{};
    CountInto(reference::Make(DType::kF32, {static_cast<int64_t>(batch.size())}, batch).view(), range, &counts);
    HistogramCounts floats;
    std::copy(counts.begin(), counts.end(), floats.begin());
    histogram.Fold(range, floats);
  }
  return histogram;
}

std::map<int, float> NonZero(const Histogram& histogram) {
  std::map<int, float> bins;
  for (int i = 0; i < kHistogramBins; ++i) {
    if (histogram.counts()[i] != 0.0f) bins[i] = histogram.counts()[i];
  }
  return bins;
}

const std::vector<float> kE1 = {-1, -.5f, 0, .25f, .5f, 1, 2, 10};

TEST(HistogramExamples, E1) {
  const Result result = Calibrated(DType::kF32, {kE1});
  EXPECT_EQ(result.params.scale, 0.04313725605607033f);
  EXPECT_EQ(result.params.offset, -105.0f);
  const Histogram histogram = Folded({kE1});
  EXPECT_THAT(NonZero(histogram),
              (std::map<int, float>{{0, 1}, {93, 1}, {186, 1}, {232, 1}, {279, 1}, {372, 1}, {558, 1}, {2047, 1}}));
  EXPECT_EQ(histogram.Error(0, 2047), 0.001750151626765728);
  EXPECT_EQ(histogram.Error(2046, 2047), 659.970703125);
  const ClipSearch search = histogram.Search();
  EXPECT_EQ(search.first_bin, 0);
  EXPECT_EQ(search.last_bin, 2047);
}

TEST(HistogramExamples, E2TheLastBatchDecides) {
  const std::vector<float> first = {-10, 0, 3, 10}, second = {-1, .25f, .5f, 1};
  const Result after_first = Calibrated(DType::kF32, {first});
  EXPECT_EQ(after_first.params.scale, 0.0784313753247261f);
  EXPECT_EQ(after_first.params.offset, -1.0f);
  const Result asym = Calibrated(DType::kF32, {first, second});
  EXPECT_EQ(asym.params.scale, 0.007843137718737125f);
  EXPECT_EQ(asym.params.offset, -1.0f);
  EXPECT_EQ(Calibrated(DType::kF32, {first, second}, true).params.scale, 0.007874015718698502f);
}

TEST(HistogramExamples, E3TheMaximumMayBeDropped) {
  const Result result = Calibrated(DType::kF32, {{-4.34328031539917f, .5f, 4.25f, 4.562695503234863f}});
  EXPECT_EQ(result.params.scale, 0.03369913995265961f);
  EXPECT_EQ(result.params.offset, 1.0f);
  EXPECT_LE(*std::max_element(result.out.begin(), result.out.end()), 4.25f);
}

TEST(HistogramExamples, E4Constant) {
  const Result result = Calibrated(DType::kF32, {{.7f, .7f, .7f}});
  EXPECT_EQ(result.params.scale, 0.0027450979687273502f);
  EXPECT_EQ(result.params.offset, -128.0f);
  EXPECT_THAT(result.out, ElementsAre(.7f, .7f, .7f));
  EXPECT_EQ(Calibrated(DType::kBF16, {{.5f, .5f}}).params.dtype, DType::kBF16);
}

TEST(HistogramExamples, E5NanAndInfinity) {
  const Result result = Calibrated(DType::kF32, {{kNan, kInf, -1, 2, -kInf}});
  EXPECT_EQ(result.params.scale, 0.011764707043766975f);
  EXPECT_EQ(result.params.offset, -43.0f);
  EXPECT_THAT(result.out, ElementsAre(0.5058823823928833f, 2, -1, 2, -1));
}

TEST(HistogramExamples, E6Bf16KeepsAnF32Scale) {
  const Result result = Calibrated(DType::kBF16, {kE1});
  EXPECT_EQ(result.params.scale, 0.04313725605607033f);
  EXPECT_EQ(result.params.dtype, DType::kF32);
  EXPECT_THAT(std::vector<float>(result.out.begin(), result.out.begin() + 4),
              ElementsAre(-0.9921875f, -0.51953125f, 0, 0.259765625f));
}

std::vector<float> E7(float last) {
  std::vector<float> values;
  for (int64_t i = 0; i < 200000; ++i) {
    values.push_back(static_cast<float>((static_cast<double>(i * 7919 % 20001) - 10000.0) / 10000.0 * 0.2));
  }
  values.push_back(-1000.0f);
  values.push_back(last);
  return values;
}

TEST(HistogramExamples, E7TheSearchMoves) {
  const Histogram histogram = Folded({E7(1000.0f)});
  EXPECT_THAT(NonZero(histogram), (std::map<int, float>{{0, 1}, {1023, 99984}, {1024, 100016}, {2047, 1}}));
  EXPECT_EQ(histogram.Error(0, 2047), 2352420.25);
  EXPECT_EQ(histogram.Error(1023, 2047), 1255990.625);
  const ClipSearch search = histogram.Search();
  EXPECT_EQ(search.first_bin, 1023);
  EXPECT_EQ(search.last_bin, 2047);
  EXPECT_EQ(search.low, -0.9765625f);
  EXPECT_EQ(search.high, 1000.0f);
  const AffineParams expected = ParamsFromRange(-0.2f, 1000.0f, DType::kF32, IntFormat{8, false});
  const Result result = Calibrated(DType::kF32, {E7(1000.0f)});
  EXPECT_EQ(result.params.scale, expected.scale);
  EXPECT_EQ(result.params.offset, expected.offset);

  const ClipSearch stopped = Folded({E7(900.0f)}).Search();
  EXPECT_EQ(stopped.first_bin, 0);
  EXPECT_EQ(stopped.last_bin, 2047);
}

TEST(Histogram, RemapsWhenTheRangeGrows) {
  const Histogram histogram = Folded({{0, .3f, 1}, {.2f, 1.5f}});
  EXPECT_THAT(NonZero(histogram),
              (std::map<int, float>{{0, 1}, {273, 1}, {409, 1}, {1364, 0.5f}, {1365, 0.5f}, {2047, 1}}));
}

TEST(Histogram, SameRangeAddsUp) {
  const Histogram histogram = Folded({{0, 1}, {0, .5f, 1}});
  EXPECT_THAT(NonZero(histogram), (std::map<int, float>{{0, 2}, {1024, 1}, {2047, 2}}));
}

TEST(Histogram, RefusesWhatHasNothingFinite) {
  try {
    Calibrated(DType::kF32, {{kNan, kInf}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset);
  }
}

// One call with many samples, calls of one sample, any number of threads: the same bits. A constant sample and one
// without rows in between.
TEST(Histogram, ChunksAndThreadsDoNotMatter) {
  const int64_t cols = 96;
  Tensor x = reference::Random(DType::kBF16, {3000, cols}, 5, 1.0f);
  for (int64_t i = 900 * cols; i < 1000 * cols; ++i) x.as<BF16>()[i] = ToBF16(0.5f);
  const std::vector<int64_t> offsets = {0, 1, 900, 1000, 1000, 2500, 3000};
  SetComputeThreads(3);
  ActivationQuantizer together(Spec(false));
  Tensor expected(DType::kBF16, x.shape()), out(DType::kBF16, x.shape());
  together.Calibrate(x.view(), offsets, expected.view());
  SetComputeThreads(1);
  ActivationQuantizer apart(Spec(false));
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t own[] = {0, offsets[i + 1] - offsets[i]};
    apart.Calibrate(x.view().Rows(offsets[i], offsets[i + 1]), own, out.view().Rows(offsets[i], offsets[i + 1]));
  }
  SetComputeThreads(0);
  EXPECT_TRUE(reference::SameBits(expected.view(), out.view()));
  EXPECT_EQ(together.params()->scale, apart.params()->scale);
  EXPECT_EQ(together.samples(), 5);
}

}  // namespace
}  // namespace modelslim
