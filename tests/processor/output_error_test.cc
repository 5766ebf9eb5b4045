// Sampling rows for the ledger's output error, and the error itself.
#include "processor/observing/output_error.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "model/parts/layout_builder.h"

namespace modelslim {
namespace {

Tensor Counting(int64_t rows, int64_t cols) {
  Tensor x(DType::kF32, {rows, cols});
  for (int64_t i = 0; i < x.size(); ++i) x.as<float>()[i] = static_cast<float>(i / cols);
  return x;
}

std::vector<float> FirstColumn(const ConstView& rows) {
  std::vector<float> values;
  for (int64_t r = 0; r < rows.rows(); ++r) values.push_back(rows.as<float>()[r * rows.cols()]);
  return values;
}

std::vector<float> Sampled(const Tensor& x, int64_t most, int64_t step) {
  RowSample sample(most);
  for (int64_t begin = 0; begin < x.shape().front(); begin += step) {
    const ConstView part = x.view().Rows(begin, std::min(begin + step, x.shape().front()));
    const std::vector<int64_t> offsets = {0, part.rows()};
    sample.Observe(part, {offsets, 0});
  }
  return FirstColumn(sample.Rows());
}

TEST(RowSampleTest, KeepsEvenlySpacedRowsWhateverTheChunks) {
  const Tensor x = Counting(37, 3);
  EXPECT_EQ(Sampled(x, 8, 37), (std::vector<float>{0, 8, 16, 24, 32}));
  for (const int64_t step : {1, 2, 5, 8, 9, 36}) EXPECT_EQ(Sampled(x, 8, step), Sampled(x, 8, 37)) << step;
  EXPECT_EQ(Sampled(Counting(8, 3), 8, 3), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_TRUE(Sampled(Counting(0, 3), 8, 1).empty());
}

// W = [1 0.5], rounded to int8 with scale 1/127: 0.5 becomes 64/127. x = (2, 4): y = 4, y' = 2 + 4 * 64 / 127.
TEST(OutputErrorTest, IsThatOfTheDeployedLayer) {
  class OneWeight : public WeightSource {
   public:
    std::optional<SharedTensor> Map(const ParamInfo&) const override { return std::nullopt; }
    Tensor Load(const ParamInfo&) const override {
      Tensor weight(DType::kF32, {1, 2});
      weight.as<float>()[0] = 1.0f;
      weight.as<float>()[1] = 0.5f;
      return weight;
    }
    void WillNeed(const ParamInfo&) const override {}
    void DontNeed(const ParamInfo&) const override {}
  } source;
  const ModuleInfo info = LinearInfo("l", 1, 2, DType::kF32);
  LinearModule module(info, source);
  LinearResult result;
  result.weight_only = true;
  Tensor x(DType::kF32, {1, 2});
  x.as<float>()[0] = 2.0f;
  x.as<float>()[1] = 4.0f;
  const std::optional<double> error = OutputError(module, result, std::as_const(x).view());
  ASSERT_TRUE(error.has_value());
  EXPECT_NEAR(*error, (2 + 4 * 64.0 / 127 - 4) / 4, 1e-6);
  EXPECT_FALSE(OutputError(module, result, std::as_const(x).view().Rows(0, 0)).has_value());
}

}  // namespace
}  // namespace modelslim
