#include "quant/smoothing/smooth.h"

#include <gmock/gmock.h>

#include <limits>

#include "base/parallel.h"
#include "quant/rewrite_testing.h"
#include "quant/smoothing/awq.h"
#include "quant/smoothing/smooth_apply.h"
#include "quant/smoothing/smooth_kv.h"

namespace modelslim {
namespace {

using testing::ExpectNear;
using testing::LinearF64;
using testing::Matrix;
using testing::Random;
using testing::Values;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

ChannelStats Observed(std::initializer_list<const Tensor*> calls) {
  ChannelStats stats;
  for (const Tensor* x : calls) stats.Observe(x->view());
  return stats;
}

// --- statistics ---

TEST(ChannelStats, HoldsWhatWasSeen) {
  const Tensor x1 = Matrix(DType::kF32, {2, 2}, {1, -4, .5, 2}), x2 = Matrix(DType::kF32, {1, 2}, {-3, 8});
  const ChannelStats stats = Observed({&x1, &x2});
  EXPECT_EQ(stats.rows(), 3);
  EXPECT_EQ(stats.Min().values, (std::vector<float>{-3, -4}));
  EXPECT_EQ(stats.Max().values, (std::vector<float>{1, 8}));
  EXPECT_EQ(stats.AbsMax().values, (std::vector<float>{3, 8}));
  EXPECT_EQ(stats.Shift().values, (std::vector<float>{-1, 2}));
  EXPECT_EQ(stats.ShiftedAbsMax().values, (std::vector<float>{2, 6}));
  ExpectNear(stats.AbsMean(DType::kF32).values, std::vector<float>{1.5f, 14.0f / 3}, 1e-6);
}

TEST(ChannelStats, DoesNotDependOnChunksOrThreads) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor x = Random(dtype, {101, 777}, 1);
    SetComputeThreads(1);
    const ChannelStats whole = Observed({&x});
    SetComputeThreads(3);
    ChannelStats pieces;
    for (int64_t begin = 0; begin < 101; begin += 17)
      pieces.Observe(x.view().Rows(begin, std::min<int64_t>(101, begin + 17)));
    SetComputeThreads(0);
    EXPECT_EQ(whole.Export().min, pieces.Export().min);
    EXPECT_EQ(whole.Export().max, pieces.Export().max);
    EXPECT_EQ(whole.Export().absmax, pieces.Export().absmax);
    EXPECT_EQ(whole.Export().abs_sum, pieces.Export().abs_sum);
  }
}

TEST(ChannelStats, NanAndInfinityShow) {
  const Tensor x = Matrix(DType::kBF16, {3, 3}, {1, kInf, 1, kNan, 2, -kInf, -5, 3, 0});
  const ChannelStats stats = Observed({&x});
  EXPECT_TRUE(std::isnan(stats.Min().values[0]) && std::isnan(stats.Max().values[0]) &&
              std::isnan(stats.AbsMax().values[0]));
  EXPECT_EQ(stats.Max().values[1], kInf);
  EXPECT_EQ(stats.Min().values[2], -kInf);
  EXPECT_EQ(stats.AbsMax().values[2], kInf);
}

TEST(ChannelStats, MergesAndTravels) {
  const Tensor x1 = Random(DType::kF32, {5, 4}, 1), x2 = Random(DType::kF32, {7, 4}, 2);
  ChannelStats merged = Observed({&x1});
  merged.Merge(ChannelStats::Import(Observed({&x2}).Export()));
  merged.Merge(ChannelStats());
  const ChannelStats both = Observed({&x1, &x2});
  EXPECT_EQ(merged.rows(), 12);
  EXPECT_EQ(merged.AbsMax().values, both.AbsMax().values);
  EXPECT_EQ(merged.Shift().values, both.Shift().values);
  ExpectNear(merged.AbsMean(DType::kF32).values, both.AbsMean(DType::kF32).values, 1e-6);
  const Tensor other = Random(DType::kF32, {5, 3}, 1);
  EXPECT_THROW(merged.Observe(other.view()), Error);
  EXPECT_THROW(merged.Observe(Random(DType::kBF16, {5, 4}, 1).view()), Error);
  EXPECT_THROW(merged.Merge(Observed({&other})), Error);
}

TEST(ChannelStats, NoRowsChangeNothing) {
  ChannelStats stats;
  stats.Observe(Tensor(DType::kF32, {0, 4}).view());
  EXPECT_TRUE(stats.empty());
}

TEST(ColumnMax, AbsoluteAndSigned) {
  const Tensor a = Matrix(DType::kF32, {2, 3}, {1, -5, -2, -3, 2, -1}), b = Matrix(DType::kF32, {1, 3}, {2, 0, -4});
  const std::vector<ConstView> both = {a.view(), b.view()};
  EXPECT_EQ(ColumnMax(both).values, (std::vector<float>{3, 5, 4}));
  EXPECT_EQ(ColumnMax(both, WeightStatistic::kSignedMax).values, (std::vector<float>{2, 2, -1}));
  const Tensor narrow = Matrix(DType::kF32, {1, 2}, {2, 0});
  const std::vector<ConstView> mixed = {a.view(), narrow.view()};
  EXPECT_THROW(ColumnMax(mixed), Error);
}

// --- scales ---

TEST(SmoothScale, EverythingInBF16) {
  const Channels a16{DType::kBF16, {3, 8, RoundTo<BF16>(.37f)}}, a32{DType::kF32, {3, 8, .37f}};
  const Channels w{DType::kBF16, {1, .25f, RoundTo<BF16>(.011f)}};
  EXPECT_EQ(IterSmoothScale(a16, w, 0.9).values, (std::vector<float>{2.6875f, 7.4375f, .640625f}));
  EXPECT_EQ(IterSmoothScale(a32, w, 0.9).values, (std::vector<float>{2.6875f, 7.46875f, .640625f}));
  const Channels w32{DType::kF32, w.values}, exact{DType::kF32, a16.values};
  ExpectNear(IterSmoothScale(exact, w32, 0.9).values, std::vector<float>{2.68788f, 7.46426f, .640306f}, 1e-5);
}

TEST(SmoothScale, EdgeChannels) {
  const Channels a{DType::kF32, {0, 4, kNan, 4}}, w = ClampWeightStatistic({DType::kF32, {1, 0, 1, -3}});
  EXPECT_EQ(w.values[1], 1e-5f);
  EXPECT_EQ(w.values[3], 1e-5f);
  const Channels s = IterSmoothScale(a, w, 0.5, 1e-2f);
  EXPECT_EQ(s.values[0], 1e-2f);  // the producer's channel will be multiplied by 100
  EXPECT_NEAR(s.values[1], 2 / std::sqrt(1e-5), 1e-2);
  EXPECT_TRUE(std::isnan(s.values[2]));
  EXPECT_THROW(IterSmoothScale({DType::kF32, {1}}, w, 0.5), Error);
}

TEST(SmoothScale, FlexOvReducesStatistics) {
  const Channels a{DType::kF32, {4, 1, 2, 8}}, w{DType::kF32, {.75f, 2, 1, 1}};
  const OvScale max = FlexOvScale(a, w, .6, .3, {.heads = 2, .kv_heads = 1});
  ExpectNear(max.value.values, std::vector<float>{2.297397f, 2.828427f}, 1e-5);
  ExpectNear(max.output.values, std::vector<float>{2.297397f, 2.828427f, 2.297397f, 2.828427f}, 1e-5);
  const OvScale mean = ReduceOvMean(FlexSmoothScale(a, w, .6, .3), {.heads = 2, .kv_heads = 1});
  ExpectNear(mean.value.values, std::vector<float>{2.010098f, 2.147227f}, 1e-5);
  EXPECT_THROW(ReduceOvMean(a, {.heads = 4, .kv_heads = 3}), Error);
  EXPECT_THROW(ReduceOvMean(a, {.heads = 8, .kv_heads = 4}), Error);
  EXPECT_THROW(ReduceOvMean(a, {.heads = 2, .kv_heads = 0}), Error);
}

TEST(SmoothScale, FlexAwqTakesTheMean) {
  ExpectNear(FlexAwqScale({DType::kF32, {1.25f, 14, .625f}}, .5).values,
             std::vector<float>{1.118034f, 3.741657f, .790569f}, 1e-5);
  ExpectNear(FlexAwqScale({DType::kF32, {1.25f, 14, .625f}}, .9).values,
             std::vector<float>{1.222416f, 10.752643f, .655076f}, 1e-5);
  EXPECT_EQ(FlexAwqScale({DType::kF32, {0}}, .5).values[0], 1e-5f);
}

// Means of 3 and 2 tokens, 1 and 1.0078125 in bf16. Their sums weighted with the tokens, 3 + 2.015625, are 5 in bf16;
// the mean of all five, 1.0046875, would be 1.0078125.
TEST(RunningAbsMean, RoundsAfterEverySample) {
  for (const auto& [dtype, expected] : {std::pair(DType::kBF16, 1.0f), std::pair(DType::kF32, 1.0046875f)}) {
    RunningAbsMean mean;
    mean.Observe(Matrix(dtype, {0, 1}, {}).view());
    EXPECT_TRUE(mean.empty());
    mean.Observe(Matrix(dtype, {3, 1}, {1, -1, 1.0078125f}).view());
    mean.Observe(Matrix(dtype, {2, 1}, {-1.0078125f, 1.0078125f}).view());
    EXPECT_FLOAT_EQ(mean.value().values.front(), expected);
    EXPECT_EQ(mean.value().dtype, dtype);
  }
}

// --- application: the worked examples ---

struct SmoothQuantExample {
  Tensor gamma = Matrix(DType::kF32, {2}, {1, 2}), beta = Tensor::Zeros(DType::kF32, {2});
  Tensor w1 = Matrix(DType::kF32, {2, 2}, {.5, -.25, -1, .125}), w2 = Matrix(DType::kF32, {1, 2}, {.25, .2f});
  ChannelStats stats = Observed();
  std::vector<LinearParams> consumers = {{w1.view(), {}}, {w2.view(), {}}};

  static ChannelStats Observed() {
    const Tensor x1 = Matrix(DType::kF32, {2, 2}, {1, -4, .5, 2}), x2 = Matrix(DType::kF32, {1, 2}, {-3, 8});
    ChannelStats stats;
    stats.Observe(x1.view());
    stats.Observe(x2.view());
    return stats;
  }
  Channels W() const {
    const std::vector<ConstView> weights = {w1.view(), w2.view()};
    return ClampWeightStatistic(ColumnMax(weights));
  }
};

TEST(SmoothQuant, SymmetricExample) {
  SmoothQuantExample e;
  EXPECT_EQ(e.W().values, (std::vector<float>{1, .25f}));
  const Channels s = IterSmoothScale(e.stats.AbsMax(), e.W(), .5);
  ExpectNear(s.values, std::vector<float>{1.732051f, 5.656854f}, 1e-5);
  const auto created = ApplyNormLinear({e.gamma.view(), e.beta.view()}, e.consumers, s);
  EXPECT_FALSE(created[0]);
  ExpectNear(Values(e.w1), std::vector<float>{.866025f, -1.414214f, -1.732051f, .707107f}, 1e-5);
  ExpectNear(Values(e.w2), std::vector<float>{.433013f, 1.131371f}, 1e-5);
  ExpectNear(Values(e.gamma), std::vector<float>{.577350f, .353553f}, 1e-5);
  EXPECT_EQ(Values(e.beta), (std::vector<float>{0, 0}));
}

TEST(SmoothQuant, AsymmetricExample) {
  SmoothQuantExample e;
  const Channels s = IterSmoothScale(e.stats.ShiftedAbsMax(), e.W(), .5), shift = e.stats.Shift();
  ExpectNear(s.values, std::vector<float>{1.414214f, 4.898979f}, 1e-5);
  const auto created = ApplyNormLinear({e.gamma.view(), e.beta.view()}, e.consumers, s, &shift);
  ExpectNear(Values(e.w1), std::vector<float>{.707107f, -1.224745f, -1.414214f, .612372f}, 1e-5);
  ExpectNear(Values(e.w2), std::vector<float>{.353553f, .979796f}, 1e-5);
  ExpectNear(Values(e.gamma), std::vector<float>{.707107f, .408248f}, 1e-5);
  ExpectNear(Values(e.beta), std::vector<float>{.707107f, -.408248f}, 1e-5);
  ExpectNear(Values(created[0]), std::vector<float>{-1, 1.25f}, 1e-5);
  ExpectNear(Values(created[1]), std::vector<float>{.15f}, 1e-5);
}

TEST(IterSmooth, OvExampleWithSharedHeads) {
  Tensor wo = Matrix(DType::kF32, {2, 4}, {.5, -2, 1, .25, -.75, .5, .5, -1});
  const Channels a{DType::kF32, {4, 1, 2, 8}};
  const HeadLayout heads{.heads = 2, .kv_heads = 1};
  const ConstView wo_view = wo.view();
  const auto scale_of = [&](WeightStatistic statistic) {
    return IterSmoothScale(a, ClampWeightStatistic(ColumnMax({&wo_view, 1}, statistic)), .9);
  };
  ExpectNear(scale_of(WeightStatistic::kAbsMax).values, std::vector<float>{3.583834f, .933033f, 1.866066f, 6.498019f},
             1e-5);
  const Channels s = scale_of(WeightStatistic::kSignedMax);
  ExpectNear(s.values, std::vector<float>{3.732132f, 1.071773f, 1.866066f, 7.464264f}, 1e-5);
  const OvScale ov = ReduceOvMean(s, heads);
  ExpectNear(ov.value.values, std::vector<float>{2.799099f, 4.268019f}, 1e-5);
  for (const bool divide : {false, true}) {
    Tensor wv = Matrix(DType::kF32, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), bv = Matrix(DType::kF32, {2}, {1, -1});
    Tensor out = wo.Clone();
    ApplyOv({wv.view(), bv.view()}, {out.view(), {}}, ov, std::nullopt, {.divide_producer_bias = divide});
    EXPECT_THAT(Values(out),
                ::testing::ElementsAre(::testing::FloatNear(1.399549f, 1e-5f), ::testing::FloatNear(-8.536037f, 1e-5f),
                                       ::testing::FloatNear(2.799099f, 1e-5f), ::testing::FloatNear(1.067005f, 1e-5f),
                                       ::testing::_, ::testing::_, ::testing::_, ::testing::_));
    const auto v = Values(wv);
    ExpectNear(std::vector<float>(v.begin(), v.begin() + 4),
               std::vector<float>{.357258f, .714516f, 1.071773f, 1.429031f}, 1e-5);
    ExpectNear(Values(bv), divide ? std::vector<float>{.357258f, -.234301f} : std::vector<float>{1, -1}, 1e-5);
  }
}

// --- function preservation ---

Channels RandomScale(int64_t n, uint32_t seed) {
  Channels s{DType::kF32, Values(Random(DType::kF32, {n}, seed))};
  for (float& v : s.values) v = std::exp(v);
  return s;
}

std::vector<float> Normed(const std::vector<float>& x, const Tensor& gamma, const Tensor& beta) {
  std::vector<float> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * Values(gamma)[i % gamma.size()] + Values(beta)[i % gamma.size()];
  return y;
}

TEST(KeepsTheFunction, NormLinear) {
  for (const bool shifted : {false, true}) {
    Tensor gamma = Random(DType::kF32, {12}, 1), beta = Random(DType::kF32, {12}, 2);
    Tensor w1 = Random(DType::kF32, {5, 12}, 3), w2 = Random(DType::kF32, {3, 12}, 4), b1 = Random(DType::kF32, {5}, 5);
    const auto x = Values(Random(DType::kF32, {7, 12}, 6));
    const auto y1 = LinearF64(Normed(x, gamma, beta), w1.view(), b1.view()),
               y2 = LinearF64(Normed(x, gamma, beta), w2.view(), {});
    const Channels s = RandomScale(12, 7), shift{DType::kF32, Values(Random(DType::kF32, {12}, 8))};
    const std::vector<LinearParams> consumers = {{w1.view(), b1.view()}, {w2.view(), {}}};
    const auto created = ApplyNormLinear({gamma.view(), beta.view()}, consumers, s, shifted ? &shift : nullptr);
    EXPECT_EQ(static_cast<bool>(created[1]), shifted);
    EXPECT_FALSE(created[0]);
    ExpectNear(LinearF64(Normed(x, gamma, beta), w1.view(), b1.view()), y1, 3e-5);
    ExpectNear(LinearF64(Normed(x, gamma, beta), w2.view(), shifted ? created[1].view() : ConstView{}), y2, 3e-5);
  }
}

TEST(KeepsTheFunction, NormBiasDividedTwiceDoesNot) {
  Tensor gamma = Matrix(DType::kF32, {1}, {1}), beta = Matrix(DType::kF32, {1}, {8}),
         w = Matrix(DType::kF32, {1, 1}, {1});
  const std::vector<LinearParams> consumers = {{w.view(), {}}};
  const Channels s{DType::kF32, {2}}, shift{DType::kF32, {0}};
  ApplyNormLinear({gamma.view(), beta.view()}, consumers, s, &shift, {.divide_shifted_norm_bias_twice = true});
  EXPECT_EQ(Values(beta)[0], 2.0f);
}

TEST(KeepsTheFunction, UpDownAndLinearLinear) {
  Tensor up = Random(DType::kF32, {9, 4}, 1), up_bias = Random(DType::kF32, {9}, 2),
         down = Random(DType::kF32, {3, 9}, 3);
  Tensor down_bias = Random(DType::kF32, {3}, 4);
  const auto x = Values(Random(DType::kF32, {6, 4}, 5));
  const auto run = [&] {
    const auto middle = LinearF64(x, up.view(), up_bias.view());
    return LinearF64({middle.begin(), middle.end()}, down.view(), down_bias.view());
  };
  const auto before = run();
  ApplyLinearLinear({up.view(), up_bias.view()}, {down.view(), down_bias.view()}, RandomScale(9, 6));
  ExpectNear(run(), before, 3e-5);
  ApplyLinearLinear({up.view(), up_bias.view()}, {down.view(), down_bias.view()}, RandomScale(9, 6),
                    {.divide_producer_bias = false});
  EXPECT_GT(std::fabs(run()[0] - before[0]), 1e-3);  // what December 2025 does to a model with biases
}

// Attention with uniform weights over heads is enough here: head h of the output is the value head h / G.
std::vector<double> OvForward(const std::vector<float>& x, const ConstView& wv, const ConstView& bv,
                              const RowRanges& rows, const ConstView& wo, const HeadLayout& heads) {
  const auto all = LinearF64(x, wv, bv);
  const int64_t tokens = static_cast<int64_t>(x.size()) / wv.cols(), d = wo.cols() / heads.heads;
  std::vector<float> expanded;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<double> v;
    for (const auto& [begin, end] : rows) v.insert(v.end(), &all[t * wv.rows() + begin], &all[t * wv.rows() + end]);
    for (int64_t h = 0; h < heads.heads; ++h) {
      for (int64_t c = 0; c < d; ++c)
        expanded.push_back(static_cast<float>(v[h / (heads.heads / heads.kv_heads) * d + c]));
    }
  }
  return LinearF64(expanded, wo, {});
}

TEST(KeepsTheFunction, OvForEveryHeadLayout) {
  constexpr int64_t kDim = 4, kHidden = 32;
  for (const int64_t kv : {8, 4, 1}) {
    const HeadLayout heads{.heads = 8, .kv_heads = kv};
    Tensor wv = Random(DType::kF32, {kv * kDim, kHidden}, 1), bv = Random(DType::kF32, {kv * kDim}, 2);
    Tensor wo = Random(DType::kF32, {kHidden, 8 * kDim}, 3);
    const auto x = Values(Random(DType::kF32, {5, kHidden}, 4));
    const RowRanges rows = {{0, kv * kDim}};
    const auto before = OvForward(x, wv.view(), bv.view(), rows, wo.view(), heads);
    ApplyOv({wv.view(), bv.view()}, {wo.view(), {}}, ReduceOvMean(RandomScale(8 * kDim, 5), heads));
    ExpectNear(OvForward(x, wv.view(), bv.view(), rows, wo.view(), heads), before, 2e-4, std::to_string(kv));
  }
}

TEST(KeepsTheFunction, OvOfFusedProjections) {
  const HeadLayout heads{.heads = 4, .kv_heads = 2};
  const std::vector<std::pair<int64_t, RowRanges>> cases = {{(4 + 2 * 2) * 8, FusedQkvValueRows(32, 64, heads)}};
  for (const auto& [out, rows] : cases) {
    Tensor wv = Random(DType::kF32, {out, 32}, 1), bv = Random(DType::kF32, {out}, 2),
           wo = Random(DType::kF32, {32, 32}, 3);
    const Tensor old = wv.Clone();
    const auto x = Values(Random(DType::kF32, {5, 32}, 4));
    const auto before = OvForward(x, wv.view(), bv.view(), rows, wo.view(), heads);
    ApplyOv({wv.view(), bv.view()}, {wo.view(), {}}, ReduceOvMean(RandomScale(32, 5), heads), rows);
    ExpectNear(OvForward(x, wv.view(), bv.view(), rows, wo.view(), heads), before, 2e-4);
    EXPECT_EQ(Values(wv.view().Rows(0, rows[0].first)), Values(old.view().Rows(0, rows[0].first)));  // q and k stay
  }
  // MLA: 4 heads of 3 nope and 8 value rows.
  const HeadLayout mla{.heads = 4, .kv_heads = 4};
  const RowRanges rows = FusedKvValueRows(44, 4, 3, 8);
  Tensor kv = Random(DType::kF32, {44, 6}, 6), wo = Random(DType::kF32, {10, 32}, 7);
  const Tensor old = kv.Clone();
  const auto x = Values(Random(DType::kF32, {5, 6}, 8));
  const auto before = OvForward(x, kv.view(), {}, rows, wo.view(), mla);
  const Channels s = RandomScale(32, 9);
  ApplyOv({kv.view(), {}}, {wo.view(), {}}, {s, s}, rows);
  ExpectNear(OvForward(x, kv.view(), {}, rows, wo.view(), mla), before, 2e-4);
  EXPECT_EQ(Values(kv.view().Rows(11, 14)), Values(old.view().Rows(11, 14)));
  EXPECT_THROW(FusedKvValueRows(43, 4, 3, 8), Error);
  EXPECT_THROW(FusedQkvValueRows(32, 63, heads), Error);
  EXPECT_THROW(ApplyOv({kv.view(), {}}, {wo.view(), {}}, {s, s}, RowRanges{{0, 50}}), Error);
}

TEST(SmoothApply, RoundsOnceToEachType) {
  Tensor w = Random(DType::kBF16, {3, 4}, 1), v = Random(DType::kF16, {4, 3}, 2);
  const auto w_before = Values(w), v_before = Values(v);
  const Channels s{DType::kBF16, {RoundTo<BF16>(1.3f), 2, RoundTo<BF16>(.7f), 3}};
  ApplyOv({v.view(), {}}, {w.view(), {}}, {s, s});
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Values(w)[i], RoundTo<BF16>(w_before[i] * s.values[i % 4]));
    EXPECT_EQ(Values(v)[i], RoundTo<F16>(v_before[i] * RoundTo<BF16>(1.0f / s.values[i / 3])));
  }
}

TEST(SmoothApply, ChecksBeforeItWrites) {
  Tensor gamma = Random(DType::kF32, {4}, 1), w1 = Random(DType::kF32, {2, 4}, 2), w2 = Random(DType::kF32, {2, 5}, 3);
  const auto before = Values(w1);
  const std::vector<LinearParams> consumers = {{w1.view(), {}}, {w2.view(), {}}};
  const Channels s = RandomScale(4, 4);
  EXPECT_THROW(ApplyNormLinear({gamma.view(), {}}, consumers, s), Error);
  EXPECT_THROW(ApplyNormLinear({gamma.view(), {}}, {consumers.data(), 1}, s, &s), Error);  // no bias for the shift
  EXPECT_EQ(Values(w1), before);
}

// --- kv_smooth ---

TEST(KvSmooth, Examples) {
  const Channels m{DType::kF32, {2, 8, 4, 1, 1, .5, 3, 2}};
  const HeadLayout heads{.heads = 4, .kv_heads = 2};
  EXPECT_EQ(KvSmoothScale(m, heads).values, (std::vector<float>{4, 8, 4, 8, 3, 2, 3, 2}));
  EXPECT_EQ(ExpandHeads(KvSmoothScale(m, heads), heads).values,
            (std::vector<float>{4, 8, 4, 8, 4, 8, 4, 8, 3, 2, 3, 2, 3, 2, 3, 2}));
  ExpectNear(KvSmoothScale(m, heads, {.smooth_factor = .5f}).values,
             std::vector<float>{2, 2.828427f, 2, 2.828427f, 1.732051f, 1.414214f, 1.732051f, 1.414214f}, 1e-6);
  EXPECT_EQ(KvSmoothNormScale(m, 2).values, (std::vector<float>{4, 8, 4, 8}));
  ExpectNear(KvSmoothNormScale(m, 2, {.smooth_factor = .5f}).values, std::vector<float>{2, 2.828427f, 2, 2.828427f},
             1e-6);
}

TEST(KvSmooth, ScoresStay) {
  const HeadLayout heads{.heads = 4, .kv_heads = 2};
  Tensor q = Random(DType::kF32, {16, 6}, 1), k = Random(DType::kF32, {8, 6}, 2), qb = Random(DType::kF32, {16}, 3),
         kb = Random(DType::kF32, {8}, 4);
  const auto x = Values(Random(DType::kF32, {3, 6}, 5));
  const auto scores = [&] {
    const auto queries = LinearF64(x, q.view(), qb.view()), keys = LinearF64(x, k.view(), kb.view());
    std::vector<double> all;
    for (int t = 0; t < 3; ++t) {
      for (int h = 0; h < 4; ++h) {
        double sum = 0;
        for (int c = 0; c < 4; ++c) sum += queries[t * 16 + h * 4 + c] * keys[t * 8 + h / 2 * 4 + c];
        all.push_back(sum);
      }
    }
    return all;
  };
  const auto before = scores();
  ApplyKvSmoothLinear({q.view(), qb.view()}, {k.view(), kb.view()}, KvSmoothScale(RandomScale(8, 6), heads), heads);
  ExpectNear(scores(), before, 2e-5);
  Tensor qn = Random(DType::kF32, {4}, 7), kn = Random(DType::kF32, {4}, 8);
  const auto q_before = Values(qn), k_before = Values(kn);
  ApplyKvSmoothNorm(qn.view(), kn.view(), KvSmoothNormScale(RandomScale(8, 6), 2));
  for (int c = 0; c < 4; ++c) EXPECT_NEAR(Values(qn)[c] * Values(kn)[c], q_before[c] * k_before[c], 1e-5);
  EXPECT_NE(Values(kn), k_before);
}

TEST(KvSmooth, SilentPairsAndNonsense) {
  const Channels silent{DType::kF32, {0, 2, 0, 1}};
  EXPECT_EQ(KvSmoothScale(silent, {.heads = 1, .kv_heads = 1}).values, (std::vector<float>{1, 2, 1, 2}));
  EXPECT_EQ(KvSmoothScale(silent, {.heads = 1, .kv_heads = 1}, {.min_magnitude = 0}).values[0], 0.0f);
  EXPECT_THROW(KvSmoothScale({DType::kF32, {1, 2, 3}}, {.heads = 1, .kv_heads = 1}), Error);
  EXPECT_THROW(KvSmoothScale(silent, {.heads = 3, .kv_heads = 3}), Error);
  EXPECT_THROW(KvSmoothScale(silent, {.heads = 1, .kv_heads = 1}, {.smooth_factor = 0}), Error);
}

// --- awq ---

TEST(Awq, ScaleExample) {
  const Channels mean{DType::kF32, {1.25f, 14, .625f}};
  ExpectNear(AwqScale(mean, .5).values, std::vector<float>{.650059f, 2.175515f, .459661f}, 1e-5);
  EXPECT_EQ(AwqScale(mean, 0).values, (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(AwqScale({DType::kF32, {1, kInf}}, .5).values[1], 1.0f);
}

TEST(Awq, FirstOfTheBestWins) {
  const Channels mean{DType::kF32, {1.25f, 14, .625f}};
  int calls = 0;
  const auto result = AwqSearch(mean, 20, [&](const Channels&) { return std::fabs(++calls - 8.5) + 1; });
  EXPECT_EQ(calls, 20);
  EXPECT_DOUBLE_EQ(result.ratio, 7.0 / 20);
  EXPECT_EQ(result.loss, 1.5);
  EXPECT_EQ(result.scale.values, AwqScale(mean, .35).values);
  EXPECT_THROW(AwqSearch(mean, 20, [](const Channels&) { return std::nan(""); }), Error);
  EXPECT_THROW(AwqSearch(mean, 0, [](const Channels&) { return 1.0; }), Error);
}

TEST(Awq, TrialWeight) {
  const Tensor w = Matrix(DType::kBF16, {1, 2}, {1, 3});
  const Channels s{DType::kBF16, {2, .5}};
  const Tensor trial = AwqTrialWeight(w.view(), s, [](const ConstView& scaled) {
    EXPECT_EQ(Values(scaled), (std::vector<float>{2, 1.5}));
    return Matrix(DType::kF32, {1, 2}, {2.5, 1});
  });
  EXPECT_EQ(trial.dtype(), DType::kBF16);
  EXPECT_EQ(Values(trial), (std::vector<float>{1.25, 2}));
}

}  // namespace
}  // namespace modelslim
