// The list of families, what they refuse, and that their maps (smoothing groups, rotations, kv units) leave the
// function of a model as it was when they are applied with numbers that are anything but 1.
#include "model/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "model_testing.h"
#include "whole_model.h"

namespace modelslim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- applying maps, by their definitions ----

using Matrix = std::vector<std::vector<double>>;

Matrix RandomRotation(int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Matrix rows(n, std::vector<double>(n));
  for (int64_t i = 0; i < n; ++i) {
    for (double& value : rows[i]) value = normal(generator);
    for (int64_t j = 0; j < i; ++j) {
      double dot = 0;
      for (int64_t c = 0; c < n; ++c) dot += rows[i][c] * rows[j][c];
      for (int64_t c = 0; c < n; ++c) rows[i][c] -= dot * rows[j][c];
    }
    double norm = 0;
    for (const double value : rows[i]) norm += value * value;
    for (double& value : rows[i]) value /= std::sqrt(norm);
  }
  return rows;
}

// row <- row * blockdiag(parts...), repeated until the row ends.
void RotateRow(const std::vector<Matrix>& matrices, const RotationStep& step, std::vector<double>* row) {
  int64_t at = 0;
  const auto size = static_cast<int64_t>(row->size());
  while (at < size) {
    for (const RotationStep::Part& part : step.parts) {
      if (part.matrix < 0) {
        at += part.identity_size;
        continue;
      }
      const Matrix& matrix = matrices[part.matrix];
      const auto n = static_cast<int64_t>(matrix.size());
      ASSERT_LE(at + n, size) << step.target;
      std::vector<double> turned(n, 0.0);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) turned[j] += (*row)[at + i] * matrix[i][j];
      }
      std::copy(turned.begin(), turned.end(), row->begin() + at);
      at += n;
    }
  }
  ASSERT_EQ(at, size) << step.target;
}

void ApplyStep(WholeModel* model, const std::vector<Matrix>& matrices, const RotationStep& step) {
  const View weight = model->Weight(step.target).Mutable();
  const int64_t out = weight.shape[0], in = weight.shape[1];
  float* const data = weight.as<float>();
  std::vector<double> line;
  for (int64_t i = 0; i < (step.left ? in : out); ++i) {
    const int64_t count = step.left ? out : in, start = step.left ? i : i * in, stride = step.left ? in : 1;
    line.assign(count, 0.0);
    for (int64_t j = 0; j < count; ++j) line[j] = data[start + j * stride];
    RotateRow(matrices, step, &line);  // R^T w for a column w is its row times R
    for (int64_t j = 0; j < count; ++j) data[start + j * stride] = static_cast<float>(line[j]);
  }
  Parameter* const bias = step.left ? model->Bias(step.target) : nullptr;
  if (bias == nullptr) return;
  float* const values = bias->Mutable().as<float>();
  line.assign(values, values + out);
  RotateRow(matrices, step, &line);
  for (int64_t j = 0; j < out; ++j) values[j] = static_cast<float>(line[j]);
}

void ApplyFusion(WholeModel* model, const NormFusion& fusion) {
  std::vector<float> gamma;
  for (const std::string& norm : fusion.norms) {
    const View weight = model->Weight(norm).Mutable();
    for (int64_t i = 0; i < weight.size(); ++i) gamma.push_back(std::exchange(weight.as<float>()[i], 1.0f));
  }
  for (const std::string& linear : fusion.linears) {
    const View weight = model->Weight(linear).Mutable();
    ASSERT_EQ(weight.shape[1], static_cast<int64_t>(gamma.size())) << linear;
    for (int64_t i = 0; i < weight.size(); ++i) weight.as<float>()[i] *= gamma[i % weight.shape[1]];
  }
}

void ScaleColumns(WholeModel* model, const std::string& linear, const std::vector<float>& scale) {
  const View weight = model->Weight(linear).Mutable();
  ASSERT_EQ(weight.shape[1], static_cast<int64_t>(scale.size())) << linear;
  for (int64_t i = 0; i < weight.size(); ++i) weight.as<float>()[i] *= scale[i % weight.shape[1]];
}

void DivideRows(WholeModel* model, const std::string& linear, const std::vector<float>& scale) {
  const View weight = model->Weight(linear).Mutable();
  ASSERT_EQ(weight.shape[0], static_cast<int64_t>(scale.size())) << linear;
  for (int64_t i = 0; i < weight.size(); ++i) weight.as<float>()[i] /= scale[i / weight.shape[1]];
  if (Parameter* const bias = model->Bias(linear)) {
    const View values = bias->Mutable();
    for (int64_t i = 0; i < values.size(); ++i) values.as<float>()[i] /= scale[i];
  }
}

std::vector<float> RandomScales(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(0.5f, 2.0f);
  std::vector<float> scales(count);
  for (float& scale : scales) scale = uniform(generator);
  return scales;
}

// Scales of the values, per row of the source and per column of the target.
void ApplyValueGroup(WholeModel* model, const Subgraph& group) {
  const int64_t inputs = model->Weight(group.targets[0]).shape()[1], dim = inputs / group.heads;
  ASSERT_EQ(inputs % group.heads, 0);
  const std::vector<float> values = RandomScales(group.kv_heads * dim, 5);
  std::vector<float> columns, rows;
  for (int64_t h = 0; h < group.heads; ++h) {
    const int64_t kv = h / (group.heads / group.kv_heads);
    for (int64_t c = 0; c < dim; ++c) columns.push_back(values[kv * dim + c]);
  }
  for (int64_t h = 0; h < group.kv_heads; ++h) {
    if (group.fusion == Subgraph::Fusion::kKv) {
      ASSERT_EQ(group.v_dim, dim);
      rows.insert(rows.end(), static_cast<size_t>(group.nope_dim), 1.0f);
    }
    for (int64_t c = 0; c < dim; ++c) rows.push_back(values[h * dim + c]);
  }
  ScaleColumns(model, group.targets[0], columns);
  DivideRows(model, group.source, rows);
}

void ApplyGroup(WholeModel* model, const Subgraph& group) {
  if (group.type == SubgraphType::kOv) return ApplyValueGroup(model, group);
  const std::vector<float> scales = RandomScales(model->Weight(group.targets[0]).shape()[1], 3);
  for (const std::string& target : group.targets) ScaleColumns(model, target, scales);
  if (group.type == SubgraphType::kUpDown) return DivideRows(model, group.source, scales);
  const View weight = model->Weight(group.source).Mutable();
  for (int64_t i = 0; i < weight.size(); ++i) weight.as<float>()[i] /= scales[i];
}

// Keys by 1/s, queries by s, equal for the two elements that the rotation pairs.
void ApplyKvUnit(WholeModel* model, const KvSmoothUnit& unit) {
  const int64_t half = unit.head_dim / 2, heads = unit.into_norm ? 1 : unit.kv_heads;
  std::vector<float> keys, queries;
  const std::vector<float> scales = RandomScales(heads * half, 4);
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < unit.head_dim; ++i) keys.push_back(scales[h * half + i % half]);
  }
  for (int64_t h = 0; h < (unit.into_norm ? 1 : unit.heads); ++h) {
    const int64_t kv = unit.into_norm ? 0 : h / (unit.heads / unit.kv_heads);
    for (int64_t i = 0; i < unit.head_dim; ++i) queries.push_back(1.0f / keys[kv * unit.head_dim + i]);
  }
  if (!unit.into_norm) {
    DivideRows(model, unit.key, keys);
    DivideRows(model, unit.query, queries);
    return;
  }
  for (const auto& [norm, divisors] : {std::pair(unit.key, keys), std::pair(unit.query, queries)}) {
    const View weight = model->Weight(norm).Mutable();
    for (int64_t i = 0; i < weight.size(); ++i) weight.as<float>()[i] /= divisors[i];
  }
}

struct MapCase {
  const char* model;
  const char* model_type;
  int groups;  // of all layers together
  bool rotates;
  int kv_units;
};
void PrintTo(const MapCase& map, std::ostream* out) { *out << map.model << " as " << map.model_type; }

class MapTest : public testing::TestWithParam<MapCase> {
 protected:
  void SetUp() override {
    const std::optional<fs::path> directory = FindGoldenModel(GetParam().model);
    if (!directory) GTEST_SKIP() << "no golden model of this name here";
    before_.emplace(*directory, GetParam().model_type);
    after_.emplace(*directory, GetParam().model_type);
  }
  void ExpectSameFunction() {
    const std::vector<float> got = after_->Run();
    EXPECT_LE(LargestDifference(got, before_->Run()), 2e-4);
    EXPECT_NE(got, before_->Run());  // something was done
  }
  std::optional<WholeModel> before_, after_;
};

TEST_P(MapTest, SmoothingGroupsKeepTheFunction) {
  int groups = 0;
  for (const auto& block : after_->blocks()) {
    for (const Subgraph& group : after_->family().Subgraphs(block->info().index)) {
      ApplyGroup(&*after_, group);
      EXPECT_TRUE(group.source.starts_with(block->name() + "."));
      ++groups;
    }
  }
  EXPECT_EQ(groups, GetParam().groups);
  ExpectSameFunction();
}

TEST_P(MapTest, RotationsKeepTheFunction) {
  const std::optional<RotationPlan> plan = after_->family().Rotations();
  ASSERT_EQ(plan.has_value(), GetParam().rotates);
  if (!plan) return;
  std::vector<Matrix> matrices;
  for (size_t i = 0; i < plan->matrices.size(); ++i)
    matrices.push_back(RandomRotation(plan->matrices[i].size, static_cast<unsigned>(i)));
  for (const RotationStep& step : plan->pre_run) ApplyStep(&*after_, matrices, step);
  for (const NormFusion& fusion : plan->fusions) ApplyFusion(&*after_, fusion);
  for (const RotationStep& step : plan->steps) ApplyStep(&*after_, matrices, step);
  ExpectSameFunction();
}

TEST_P(MapTest, KvUnitsKeepTheFunction) {
  int units = 0;
  for (const auto& block : after_->blocks()) {
    for (const KvSmoothUnit& unit : after_->family().KvSmoothUnits(block->info().index)) {
      ApplyKvUnit(&*after_, unit);
      EXPECT_THAT(block->info().attention, ElementsAre(unit.attention));
      EXPECT_TRUE(unit.query.starts_with(unit.attention + ".q_"));
      EXPECT_TRUE(unit.key.starts_with(unit.attention + ".k_"));
      ++units;
    }
  }
  EXPECT_EQ(units, GetParam().kv_units);
  if (units > 0) ExpectSameFunction();
}

// Layers as small as a score for each expert are routers or gates: a family that has such says that they stay float.
TEST_P(MapTest, RoutersStayFloat) {
  const std::span<const KeptFloat> kept = after_->family().facts().kept_float;
  std::map<std::string_view, int> met;
  for (const BlockInfo& block : after_->family().layout().blocks) {
    const int64_t experts = after_->family().Experts(block.index).experts;
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      bool is_kept = false;
      for (const KeptFloat& row : kept) {
        if (!module.name.ends_with(row.suffix)) continue;
        is_kept = true;
        ++met[row.suffix];
      }
      if (module.out_features() == 1 || (experts > 0 && module.name.ends_with(".gate"))) {
        EXPECT_TRUE(is_kept) << module.name;
      }
    }
  }
  EXPECT_EQ(met.size(), kept.size());  // no row without a layer
}

TEST_P(MapTest, ConvertsBackBeforeSaving) {
  for (auto& block : after_->blocks()) {
    before_->family().BeforeSave(*block, true);
    for (const ModuleInfo& module : block->info().modules) {
      if (module.kind != ModuleKind::kNorm) continue;
      const Tensor stored = block->source().Load(module.params[0]);
      const ConstView now = block->FindNorm(module.name)->weight().Get();
      for (int64_t i = 0; i < now.size(); ++i) ASSERT_EQ(now.as<float>()[i], stored.as<float>()[i]) << module.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, MapTest,
                         testing::Values(MapCase{"llama-f32", "Llama-3.1-8B", 8, true, 2},
                                         MapCase{"llama-bf16-tied", "default", 8, true, 2},
                                         MapCase{"qwen2_5-f32", "Qwen2.5-7B-Instruct", 8, true, 2},
                                         MapCase{"qwen2_5-f32", "QwQ-32B", 6, true, 2},
                                         MapCase{"qwen3-f32", "Qwen3-8B", 8, true, 2},
                                         MapCase{"qwen3_moe-bf16", "Qwen3-30B", 20, true, 2},
                                         MapCase{"qwen3_next-f32", "Qwen3-Next-80B-A3B-Instruct", 2, false, 0},
                                         MapCase{"deepseek_v3-fp8", "DeepSeek-V3.1", 20, true, 0},
                                         MapCase{"deepseek_v3_2-bf16", "DeepSeek-V3.2", 28, true, 0}),
                         [](const testing::TestParamInfo<MapCase>& map) {
                           std::string name = std::string(map.param.model) + "_" + map.param.model_type;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(BeforeSaveTest, ChangedNormGoesBackToTheZeroCentredForm) {
  const std::optional<fs::path> directory = FindGoldenModel("qwen3_next-f32");
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  OpenModel model(*directory);
  const std::unique_ptr<Block> block = model.family->MakeBlock(0, *model.source);
  NormModule& norm = block->norm("input_layernorm");
  const float stored = model.source->Load(norm.weight().info()).as<float>()[0];
  EXPECT_EQ(norm.weight().Get().as<float>()[0], 1.0f + stored);
  norm.weight().Mutable().as<float>()[0] = 3.0f;
  model.family->BeforeSave(*block, false);
  EXPECT_EQ(norm.weight().Get().as<float>()[0], 2.0f);
}

TEST(BeforeSaveTest, ReplacedNormGoesBackWhenAsked) {
  const std::optional<fs::path> directory = FindGoldenModel("qwen3_next-f32");
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  OpenModel model(*directory);
  const std::unique_ptr<Block> block = model.family->MakeBlock(0, *model.source);
  NormModule& norm = block->norm("input_layernorm");
  EXPECT_TRUE(model.family->StoresShifted(norm.weight().name().substr(0, norm.weight().name().rfind('.'))));
  EXPECT_FALSE(model.family->StoresShifted("model.layers.0.post_attention_layernorm"));
  norm.Replace(/*with_bias=*/false);
  const float now = norm.weight().Get().as<float>()[0];
  model.family->BeforeSave(*block, false);
  EXPECT_EQ(norm.weight().Get().as<float>()[0], now);
  model.family->BeforeSave(*block, true);
  EXPECT_EQ(norm.weight().Get().as<float>()[0], now - 1.0f);
}

struct PassingHook : FaHook {
  std::optional<Tensor> Apply(FaPart part, const ConstView& x, const RowGroups& groups) override {
    EXPECT_EQ(x.rows(), groups.rows());
    widths[static_cast<int>(part)] = x.cols();
    if (part == FaPart::kValue) return Tensor::Zeros(x.dtype, x.shape);  // must not matter
    return std::nullopt;
  }
  int64_t widths[3] = {};
};

TEST(AbsorbedAttentionTest, ComputesTheSame) {
  const std::optional<fs::path> directory = FindGoldenModel("deepseek_v3-fp8");
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  WholeModel plain(*directory, "DeepSeek-V3"), absorbed(*directory, "DeepSeek-V3");
  std::vector<std::shared_ptr<PassingHook>> hooks;
  for (auto& block : absorbed.blocks()) {
    for (const FaAttention& attention : absorbed.family().FaAttentions(block->info().index)) {
      hooks.push_back(std::make_shared<PassingHook>());
      EXPECT_EQ(attention.heads, 4);
      block->fa_hook(attention.name) = hooks.back();
    }
  }
  ASSERT_EQ(hooks.size(), 4u);
  EXPECT_LE(LargestDifference(absorbed.Run(), plain.Run()), 1e-4);
  EXPECT_THAT(hooks[1]->widths, ElementsAre(4 * 64, 64, 64));  // 4 heads, latents of 64
}

// ---- the list ----

TEST(FamilyListTest, FindsByExactName) {
  bool known = false;
  EXPECT_EQ(FindFamily("Qwen3-8B", &known).adapter, "qwen3");
  EXPECT_TRUE(known);
  EXPECT_EQ(FindFamily("qwen3-8b", &known).adapter, "default");
  EXPECT_FALSE(known);
  EXPECT_EQ(FindFamily("DeepSeek-R1-Distill-Qwen-7B").adapter, "qwen2_5");
  EXPECT_EQ(FindFamily("DeepSeek-V3.2-Exp").adapter, "deepseek_v3_2");
}

TEST(FamilyListTest, OrderOfModulesIsThatOfTheModuleTree) {
  const std::optional<fs::path> directory = FindGoldenModel("qwen3-f32");
  if (!directory) GTEST_SKIP() << "no golden model of this name here";
  OpenModel model(*directory, "Qwen3-8B");
  std::vector<std::string> names;
  for (const ModuleInfo& module : model.family->layout().blocks[1].modules) names.push_back(module.name.substr(15));
  EXPECT_THAT(names, ElementsAre("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                 "self_attn.q_norm", "self_attn.k_norm", "mlp.gate_proj", "mlp.up_proj",
                                 "mlp.down_proj", "input_layernorm", "post_attention_layernorm"));
  EXPECT_THAT(CheckAgainstCheckpoint(model.family->layout(), model.checkpoint), IsEmpty());
}

// ---- what is refused ----

class RefusalTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<fs::path> directory = FindGoldenModel("qwen2_5-f32");
    if (!directory) GTEST_SKIP() << "no golden model of this name here";
    checkpoint_.emplace(*directory);
    config_ = ReadJson(*directory / "config.json");
  }
  // The message, or nothing when the family is made.
  std::string Try(const std::string& model_type, ErrorCode code) {
    try {
      MakeFamily(FindFamily(model_type), config_, *checkpoint_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "";
  }
  std::string TryWith(std::string key, Json value, ErrorCode code = ErrorCode::kUnsupported) {
    const Json before = config_;
    config_.object()->Set(std::move(key), std::move(value));
    std::string message = Try("Qwen2.5-7B-Instruct", code);
    config_ = before;
    return message;
  }
  std::optional<Checkpoint> checkpoint_;
  Json config_;
};

TEST_F(RefusalTest, NamesKeyAndValue) {
  EXPECT_EQ(Try("Qwen2.5-7B-Instruct", ErrorCode::kUnexpected), "");
  EXPECT_THAT(TryWith("hidden_act", "swiglu_oai"),
              HasSubstr("hidden_act: expected silu or another activation that we compute, found \"swiglu_oai\""));
  EXPECT_THAT(TryWith("partial_rotary_factor", 0.5), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(TryWith("torch_dtype", "int8"), HasSubstr("torch_dtype"));
  JsonObject scaling;
  scaling.Set("rope_type", "spiral");
  EXPECT_THAT(TryWith("rope_scaling", scaling), HasSubstr("rope_scaling.rope_type"));
}

TEST_F(RefusalTest, HostileNumbersAreInvalid) {
  constexpr ErrorCode kInvalid = ErrorCode::kInvalidModel;
  EXPECT_THAT(TryWith("hidden_size", -1, kInvalid), HasSubstr("hidden_size"));
  EXPECT_THAT(TryWith("hidden_size", int64_t{1} << 60, kInvalid), HasSubstr("hidden_size"));
  EXPECT_THAT(TryWith("num_hidden_layers", 1 << 30, kInvalid), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(TryWith("num_attention_heads", 0, kInvalid), HasSubstr("num_attention_heads"));
  EXPECT_THAT(TryWith("num_key_value_heads", 5, kInvalid), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(TryWith("head_dim", 15, kInvalid), HasSubstr("head_dim"));
  EXPECT_THAT(TryWith("rms_norm_eps", "small", kInvalid), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(TryWith("rope_theta", -2.0, kInvalid), HasSubstr("rope_theta"));
  EXPECT_THAT(TryWith("vocab_size", nullptr, kInvalid), HasSubstr("vocab_size"));
}

TEST_F(RefusalTest, AdapterMustFitTheConfig) {
  EXPECT_THAT(Try("DeepSeek-V3", ErrorCode::kUnsupported),
              HasSubstr("model_type: expected deepseek_v3 for the adapter"));
  EXPECT_THAT(TryWith("model_type", "gpt_neox"), HasSubstr("found \"gpt_neox\""));
  // Its tensors are Llama's, but nothing says that it is computed so.
  config_.object()->Set("model_type", "some_llama_clone");
  EXPECT_THAT(Try("default", ErrorCode::kUnsupported), HasSubstr("some_llama_clone"));
}

}  // namespace
}  // namespace modelslim
