// What live modules promise: shared input stages, versions, replaced norms.
#include "model/block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "fake_source.h"
#include "model/parts/layout_builder.h"

namespace modelslim {
namespace {

struct CountingObserver : InputObserver {
  void Observe(const ConstView& x, const RowGroups& groups) override {
    seen.push_back(x.as<float>()[0]);
    rows += groups.rows();
  }
  std::vector<float> seen;
  int64_t rows = 0;
};

struct Doubling : InputTransform {
  Tensor Apply(const ConstView& x) const override {
    ++calls;
    Tensor made = Tensor::Copy(x);
    for (int64_t i = 0; i < made.size(); ++i) made.as<float>()[i] *= 2;
    return made;
  }
  mutable int calls = 0;
};

struct CountingStage : ActivationStage {
  explicit CountingStage(int which) : kind(which) {}
  Tensor Apply(const ConstView& x, const RowGroups&) override {
    ++calls;
    return Tensor::Copy(x);
  }
  bool SameAs(const ActivationStage& other) const override {
    const auto& that = dynamic_cast<const CountingStage&>(other);
    return kind == that.kind && calls == 0 && that.calls == 0;
  }
  int kind, calls = 0;
};

struct StagedForward : LinearForward {
  explicit StagedForward(int kind) : stage(std::make_shared<CountingStage>(kind)) {}
  std::shared_ptr<ActivationStage>& activation() override { return stage; }
  Tensor Apply(LinearModule& module, const ConstView& x) override { return module.FloatForward(x); }
  void Release(LinearModule&, Keep keep) override { kept = keep; }
  Keep kept = Keep::kPacked;
  std::shared_ptr<ActivationStage> stage;
};

class LinearsTest : public testing::Test {
 protected:
  LinearsTest() {
    for (const ModuleInfo& info : infos_) {
      modules_.push_back(std::make_unique<LinearModule>(info, source_));
      pointers_.push_back(modules_.back().get());
    }
    for (int i = 0; i < 6; ++i) x_.as<float>()[i] = static_cast<float>(i + 1);
  }
  std::vector<Tensor> Run() { return ForwardLinears(pointers_, std::as_const(x_).view(), groups_, Keep::kPacked); }

  FakeSource source_;
  std::vector<ModuleInfo> infos_ = {LinearInfo("a", 4, 3, DType::kF32), LinearInfo("bb", 2, 3, DType::kF32),
                                    LinearInfo("ccc", 5, 3, DType::kF32, true)};
  std::vector<std::unique_ptr<LinearModule>> modules_;
  std::vector<LinearModule*> pointers_;
  Tensor x_{DType::kF32, {2, 3}};
  std::vector<int64_t> offsets_ = {0, 2};
  RowGroups groups_{offsets_, 0};
};

TEST_F(LinearsTest, TransformComesBeforeObserversAndRunsOnce) {
  const auto transform = std::make_shared<Doubling>();
  CountingObserver first, second;
  modules_[0]->input_transform() = modules_[1]->input_transform() = transform;
  modules_[0]->observers() = {&first};
  modules_[2]->observers() = {&second};
  const std::vector<Tensor> y = Run();
  EXPECT_EQ(transform->calls, 1);
  EXPECT_THAT(first.seen, testing::ElementsAre(2.0f));
  EXPECT_THAT(second.seen, testing::ElementsAre(1.0f));
  EXPECT_EQ(first.rows, 2);
  EXPECT_EQ(y[2].shape(), (Shape{2, 5}));
}

TEST_F(LinearsTest, UntouchedEqualStagesBecomeOne) {
  const int kinds[] = {1, 2, 1};
  for (size_t i = 0; i < 3; ++i) modules_[i]->forward() = std::make_unique<StagedForward>(kinds[i]);
  Run();
  EXPECT_EQ(modules_[0]->forward()->activation(), modules_[2]->forward()->activation());
  EXPECT_NE(modules_[0]->forward()->activation(), modules_[1]->forward()->activation());
  EXPECT_EQ(dynamic_cast<CountingStage&>(*modules_[0]->forward()->activation()).calls, 1);
  // One that has seen data is not exchanged any more.
  modules_[2]->forward() = std::make_unique<StagedForward>(1);
  Run();
  EXPECT_NE(modules_[0]->forward()->activation(), modules_[2]->forward()->activation());
}

TEST_F(LinearsTest, StagesBehindDifferentTransformsStayApart) {
  modules_[0]->input_transform() = std::make_shared<Doubling>();
  for (auto& module : modules_) module->forward() = std::make_unique<StagedForward>(1);
  Run();
  EXPECT_NE(modules_[0]->forward()->activation(), modules_[1]->forward()->activation());
  EXPECT_EQ(modules_[1]->forward()->activation(), modules_[2]->forward()->activation());
}

TEST_F(LinearsTest, PackedWeightFollowsChanges) {
  const float before = Run()[0].as<float>()[0];
  modules_[0]->weight().Mutable().as<float>()[0] += 1.0f;
  EXPECT_EQ(Run()[0].as<float>()[0], before + 1.0f);
}

TEST_F(LinearsTest, ReleaseKeepsChangesAndDropsTheRest) {
  Run();
  modules_[0]->weight().Mutable().as<float>()[0] = 100.0f;
  const int loads = source_.loads;
  for (auto& module : modules_) module->Release();
  EXPECT_EQ(modules_[0]->weight().Get().as<float>()[0], 100.0f);
  EXPECT_EQ(source_.loads, loads);
  modules_[1]->weight().Get();
  EXPECT_EQ(source_.loads, loads + 1);
}

TEST_F(LinearsTest, BiasOfZerosChangesNothingButTheType) {
  const Tensor before = std::move(Run()[0]);
  EXPECT_EQ(modules_[0]->bias(), nullptr);
  modules_[0]->MakeBias(DType::kF32);
  const Tensor after = std::move(Run()[0]);
  for (int64_t i = 0; i < before.size(); ++i) EXPECT_EQ(before.as<float>()[i], after.as<float>()[i]);
}

TEST(LinearModuleTest, ResultTypePromotesAsTorch) {
  const FakeSource source;
  const ModuleInfo wide = LinearInfo("w", 2, 2, DType::kF32), narrow = LinearInfo("n", 2, 2, DType::kBF16);
  LinearModule f32(wide, source), bf16(narrow, source);
  const Tensor x16 = Tensor::Zeros(DType::kBF16, {1, 2}), x32 = Tensor::Zeros(DType::kF32, {1, 2});
  EXPECT_EQ(bf16.FloatForward(x16.view()).dtype(), DType::kBF16);
  EXPECT_EQ(bf16.FloatForward(x32.view()).dtype(), DType::kF32);
  EXPECT_EQ(f32.FloatForward(x16.view()).dtype(), DType::kF32);
  EXPECT_EQ(bf16.FloatForward(Tensor::Zeros(DType::kBF16, {0, 2}).view()).shape(), (Shape{0, 2}));
}

TEST(LinearModuleTest, F32InputOfABf16WeightIsNotRounded) {
  const FakeSource source;
  const ModuleInfo info = LinearInfo("nnn", 1, 1, DType::kBF16);  // its weight is (0 * 7 + 10) % 5 - 2 = -2
  LinearModule module(info, source);
  Tensor x(DType::kF32, {1, 1});
  x.as<float>()[0] = 1.001f;
  EXPECT_EQ(module.FloatForward(std::as_const(x).view()).as<float>()[0], -2.002f);
  EXPECT_EQ(module.FloatForward(std::as_const(x).view(), Keep::kNothing).as<float>()[0], -2.002f);
}

TEST(NormModuleTest, ReplacedNormGivesF32AndKeepsEps) {
  const FakeSource source;
  const ModuleInfo info = NormInfo("norm", 2, DType::kBF16);
  Tensor x(DType::kBF16, {1, 2});
  x.as<BF16>()[0] = ToBF16(1.0f);
  x.as<BF16>()[1] = ToBF16(0.0f);
  for (const bool with_bias : {false, true}) {
    NormModule norm(info, source, NormKind::kPlain, 0.5);
    Tensor weight(DType::kBF16, {2});
    weight.as<BF16>()[0] = ToBF16(1.0078125f);
    weight.as<BF16>()[1] = ToBF16(1.0f);
    norm.weight().Set(std::move(weight));
    EXPECT_EQ(norm.Forward(std::as_const(x).view()).dtype(), DType::kBF16);
    norm.Replace(with_bias);
    if (with_bias) norm.bias()->Mutable().as<float>()[1] = 0.25f;
    const Tensor y = norm.Forward(std::as_const(x).view());
    ASSERT_EQ(y.dtype(), DType::kF32);
    EXPECT_EQ(y.as<float>()[0], 1.0078125f);  // mean 0.5 + eps 0.5, so n = 1
    EXPECT_EQ(y.as<float>()[1], with_bias ? 0.25f : 0.0f);
  }
}

TEST(BlockTest, FindsModulesByFullAndShortName) {
  const FakeSource source;
  BlockInfo info;
  info.name = "model.layers.3";
  info.modules = {LinearInfo("model.layers.3.mlp.up_proj", 2, 2, DType::kF32)};
  Block block(info, source);
  block.Add(std::make_unique<LinearModule>(info.modules[0], source));
  block.Add(Parameter(info.modules[0].params[0], source));
  EXPECT_EQ(block.FindLinear("model.layers.3.mlp.up_proj"), &block.linear("mlp.up_proj"));
  EXPECT_EQ(block.FindLinear("mlp.up_proj"), nullptr);
  EXPECT_EQ(block.FindNorm("model.layers.3.mlp.up_proj"), nullptr);
  EXPECT_EQ(&block.parameter("mlp.up_proj.weight"), block.FindParameter("model.layers.3.mlp.up_proj.weight"));
  EXPECT_EQ(block.linears().size(), 1u);
}

}  // namespace
}  // namespace modelslim
