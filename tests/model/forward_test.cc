// Every golden model, layer by layer, against what the original model code computed.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "model_testing.h"

namespace modelslim {
namespace {

struct GoldenCase {
  const char* model;
  double tolerance;  // of the largest deviation, relative to the layer's largest value
};

void PrintTo(const GoldenCase& golden, std::ostream* out) { *out << golden.model; }

// f32: the order of summation is all that differs. bf16: one unit in the last place of the largest values is 2^-8.
constexpr double kF32 = 1e-5, kBF16 = 2e-2;

// Largest |a - b| over the largest |b|.
double Deviation(const ConstView& got, const ConstView& want) {
  EXPECT_EQ(got.size(), want.size());
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const double a = ElementAsF32(got, i), b = ElementAsF32(want, i);
    largest = std::max(largest, std::fabs(b));
    worst = std::isnan(a) ? INFINITY : std::max(worst, std::fabs(a - b));
  }
  return worst / largest;
}

std::vector<int32_t> ReadIds(const SafetensorsFile& forward, int text) {
  const ConstView view = forward.View("input_ids." + std::to_string(text));
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < view.size(); ++i) ids.push_back(static_cast<int32_t>(view.as<int64_t>()[i]));
  return ids;
}

// The golden files hold the sum of the streams that travel side by side.
Tensor Merged(const OpenModel& model, const ConstView& hidden) {
  const int64_t width = model.config.Find("hidden_size")->integer().value();
  Tensor sum = Tensor::Zeros(DType::kF32, {hidden.rows(), width});
  for (int64_t i = 0; i < hidden.size(); ++i) {
    sum.as<float>()[i / hidden.cols() * width + i % width] += ElementAsF32(hidden, i);
  }
  return sum;
}

class ForwardTest : public testing::TestWithParam<GoldenCase> {};

TEST_P(ForwardTest, AgreesWithTheReference) {
  const std::optional<fs::path> directory = FindGoldenModel(GetParam().model);
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  OpenModel model(*directory);
  const SafetensorsFile forward(*directory / "forward.safetensors");

  // Both texts in one packed batch.
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};
  for (int text = 0; text < 2; ++text) {
    for (const int32_t id : ReadIds(forward, text)) ids.push_back(id);
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  const std::unique_ptr<Block> rest = model.family->MakeBlock(-1, *model.source);
  ForwardContext context;
  context.groups.offsets = offsets;
  context.ids = ids;
  context.rest = rest.get();

  const auto layers = static_cast<int>(model.config.Find("num_hidden_layers")->integer().value());
  Tensor hidden = model.family->Embed(*rest, ids), last;
  ASSERT_EQ(hidden.shape().back(), model.family->HiddenWidth());
  for (const BlockInfo& info : model.family->layout().blocks) {
    const std::unique_ptr<Block> block = model.family->MakeBlock(info.index, *model.source);
    hidden = model.family->Forward(*block, context, std::as_const(hidden).view());
    if (info.index == layers - 1) last = hidden.Clone();
    const Tensor merged = Merged(model, std::as_const(hidden).view());
    for (int text = 0; text < 2; ++text) {
      const std::string name = "layer." + std::to_string(info.index) + "." + std::to_string(text);
      const double deviation = Deviation(merged.view().Rows(offsets[text], offsets[text + 1]), forward.View(name));
      EXPECT_LE(deviation, GetParam().tolerance) << name;
      RecordProperty(name, std::to_string(deviation));
      if (std::getenv("MODELSLIM_SHOW") != nullptr)
        std::printf("%s %s %.2e\n", GetParam().model, name.c_str(), deviation);
    }
  }
  for (int text = 0; text < 2; ++text) {
    const std::string name = "logits." + std::to_string(text);
    const Tensor logits =
        model.family->Logits(*rest, std::as_const(last).view().Rows(offsets[text + 1] - 8, offsets[text + 1]));
    EXPECT_LE(Deviation(logits.view(), forward.View(name)), GetParam().tolerance) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ForwardTest,
                         testing::Values(GoldenCase{"llama-f32", kF32}, GoldenCase{"llama-bf16-tied", kBF16},
                                         GoldenCase{"qwen2_5-f32", kF32}, GoldenCase{"qwen2_5-bf16", kBF16},
                                         GoldenCase{"qwen3-f32", kF32}, GoldenCase{"qwen3-bf16", kBF16},
                                         GoldenCase{"qwen3_moe-f32", kF32}, GoldenCase{"qwen3_moe-bf16", kBF16},
                                         GoldenCase{"qwen3_next-f32", kF32}, GoldenCase{"qwen3_next-bf16", kBF16},
                                         GoldenCase{"deepseek_v3-f32", kF32}, GoldenCase{"deepseek_v3-fp8", kBF16},
                                         GoldenCase{"deepseek_v3_2-bf16", kBF16}),
                         [](const testing::TestParamInfo<GoldenCase>& golden) {
                           std::string name = golden.param.model;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace modelslim
