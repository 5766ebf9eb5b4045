#include "processor/steps/quarot.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "quant/rotation/rotation.h"
#include "quant/rotation/rotation_apply.h"
#include "quant/rotation/rotation_norm.h"
#include "quant/smoothing/smooth_apply.h"

namespace modelslim {
namespace {

// Blocks of one matrix along the dimension it rotates, identities in between.
Rotation Combined(const RotationStep& step, const std::vector<Rotation>& matrices) {
  if (step.parts.size() == 1 && step.parts.front().matrix >= 0) return matrices[step.parts.front().matrix];
  std::vector<Rotation> parts;
  for (const RotationStep::Part& part : step.parts) {
    parts.push_back(part.matrix < 0 ? Rotation::Identity(part.identity_size) : matrices[part.matrix]);
  }
  return Rotation::BlockDiagonal(parts);
}

// A weight that may belong to a Linear or stand as a bare parameter (router, embedding).
struct Target {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;
};

Target FindTarget(Block& block, const std::string& name) {
  if (LinearModule* linear = block.FindLinear(name)) return {&linear->weight(), linear->bias()};
  return {block.FindParameter(name + ".weight"), nullptr};
}

bool BelongsTo(const Block& block, const std::string& name) { return name.starts_with(block.name() + "."); }

// Rotations are noted and made when the weight is read, so a rotated expert need not stay in memory.
void Apply(Block& block, const RotationStep& step, const std::vector<Rotation>& matrices) {
  const Target target = FindTarget(block, step.target);
  MODELSLIM_CHECK(target.weight != nullptr);
  const Rotation rotation = Combined(step, matrices);
  if (!step.left) {
    target.weight->Transform([rotation](const View& w) { RotateRight(w, rotation); }, Parameter::Reach::kRows);
    return;
  }
  target.weight->Transform([rotation](const View& w) { RotateLeft(w, View{}, rotation); });
  if (target.bias == nullptr) return;
  target.bias->Transform([rotation](const View& b) {
    RotateLeft(View{b.data, b.dtype, {b.size(), 1}}, View{}, rotation);
  });
}

Channels ToChannels(const ConstView& values) {
  Channels channels;
  channels.dtype = values.dtype;
  for (int64_t i = 0; i < values.size(); ++i) channels.values.push_back(ElementAsF32(values, i));
  return channels;
}

void FillWithOnes(Parameter& parameter) {
  const View view = parameter.Mutable();
  Tensor ones(DType::kF32, view.shape);
  std::fill_n(ones.as<float>(), ones.size(), 1.0f);
  Convert(std::as_const(ones).view(), view);
}

// Folds norms into the linears behind them. Without norm biases that is one multiplication of columns, which can wait.
void Fuse(Block& block, const NormFusion& fusion) {
  std::vector<NormModule*> norms;
  bool biased = false;
  Channels gamma;
  for (const std::string& name : fusion.norms) {
    norms.push_back(block.FindNorm(name));
    MODELSLIM_CHECK(norms.back() != nullptr);
    biased = biased || norms.back()->bias() != nullptr;
    const Channels own = ToChannels(norms.back()->weight().Get());
    gamma.dtype = own.dtype;
    gamma.values.insert(gamma.values.end(), own.values.begin(), own.values.end());
  }
  if (biased) {
    std::vector<NormParams> norm_params;
    for (NormModule* norm : norms) {
      norm_params.push_back({norm->weight().Mutable(), norm->bias() != nullptr ? norm->bias()->Mutable() : View{}});
    }
    std::vector<LinearParams> linear_params;
    for (const std::string& name : fusion.linears) {
      const Target target = FindTarget(block, name);
      linear_params.push_back({target.weight->Mutable(), target.bias != nullptr ? target.bias->Mutable() : View{}});
    }
    std::vector<Tensor> biases = FuseNorm(norm_params, linear_params);
    for (size_t i = 0; i < biases.size(); ++i) {
      if (biases[i]) block.FindLinear(fusion.linears[i])->MakeBias(biases[i].dtype()).Set(std::move(biases[i]));
    }
    return;
  }
  for (const std::string& name : fusion.linears) {
    FindTarget(block, name)
        .weight->Transform([gamma](const View& w) { ScaleColumns(w, gamma); }, Parameter::Reach::kRows);
  }
  for (NormModule* norm : norms) FillWithOnes(norm->weight());
}

// x' = A' x over the heads of what enters o_proj.
class HeadsTransform : public InputTransform {
 public:
  explicit HeadsTransform(Rotation heads) : heads_(std::move(heads)) {}
  Tensor Apply(const ConstView& x) const override {
    Tensor out = Tensor::Copy(x);
    RotateHeadsOfActivations(out.view(), heads_);
    return out;
  }

 private:
  Rotation heads_;
};

class KroneckerTransform : public InputTransform {
 public:
  KroneckerTransform(Rotation m, Rotation n) : m_(std::move(m)), n_(std::move(n)) {}
  Tensor Apply(const ConstView& x) const override {
    Tensor out = Tensor::Copy(x);
    RotateKronecker(out.view(), m_, n_);
    return out;
  }

 private:
  Rotation m_, n_;
};

// The matrices of the online part; all layers share them.
struct OnlineMatrices {
  std::optional<Rotation> m, n, heads;
};

class Quarot : public Processor {
 public:
  Quarot(const ProcessorConfig& config, const QuarotConfig& own) : Processor(config), own_(own) {}

  bool NeedsData() const override { return false; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    const std::optional<RotationPlan> rotations = family.Rotations();
    if (!rotations) {
      throw Error(ErrorCode::kUnsupported,
                  path() + ": the family " + std::string(family.name()) + " has no rotation map", "remove this entry");
    }
    MakeMatrices(*rotations);  // refuses sizes that cannot be made, before anything is read
    if (own_.export_extra_info && !HasFact<PlannedGlobalRotation>(plan.decisions.facts)) {
      plan.decisions.facts.push_back({kWholeModel, PlannedGlobalRotation{rotations->matrices.front().size}});
    }
    for (const ModuleInfo& module : family.layout().rest) {
      for (const ParamInfo& param : module.params)
        plan.decisions.unties_embeddings = plan.decisions.unties_embeddings || !param.alias_of.empty();
    }
    if (plan.decisions.unties_embeddings) {
      plan.notes.Inform(
          path(),
          "the tied embedding and lm_head are separated, and config.json says so: rotated, they are two matrices");
    }
    if (own_.online) PlanOnline(family, plan);
  }

  std::vector<std::string> Rewrites(const Family& family) const override {
    std::vector<std::string> names;
    const std::optional<RotationPlan> rotations = family.Rotations();
    if (!rotations) return names;
    for (const RotationStep& step : rotations->steps) names.push_back(step.target);
    for (const NormFusion& fusion : rotations->fusions)
      names.insert(names.end(), fusion.linears.begin(), fusion.linears.end());
    return names;
  }

  bool NotesRewrites() const override { return true; }

  void PreRun(RunState& state) override {
    rotations_ = *state.family.Rotations();
    matrices_ = MakeMatrices(rotations_);
    for (const RotationStep& step : rotations_.pre_run) modelslim::Apply(state.rest, step, matrices_);
    if (own_.online) online_ = MakeOnline(state.family);
  }

  void Preprocess(Block& block, RunState& state) override {
    for (const NormFusion& fusion : rotations_.fusions) {
      if (BelongsTo(block, fusion.linears.front())) Fuse(block, fusion);
    }
    for (const RotationStep& step : rotations_.steps) {
      if (BelongsTo(block, step.target)) modelslim::Apply(block, step, matrices_);
    }
    if (own_.online) RotateOnline(block, state);
  }

  void Postprocess(Block&, RunState&) override {}

  // Final norm and head; then the matrix itself, for speculative decoding heads.
  void PostRun(RunState& state) override {
    for (const NormFusion& fusion : rotations_.fusions) {
      if (FindTarget(state.rest, fusion.linears.front()).weight != nullptr) Fuse(state.rest, fusion);
    }
    for (const RotationStep& step : rotations_.steps) {
      if (FindTarget(state.rest, step.target).weight != nullptr) modelslim::Apply(state.rest, step, matrices_);
    }
    if (!own_.export_extra_info) return;
    std::vector<Fact>& facts = state.facts[kWholeModel];
    facts.clear();  // the last one tells
    facts.emplace_back(GlobalRotation{matrices_.front().Dense()});
  }

 private:
  std::vector<Rotation> MakeMatrices(const RotationPlan& rotations) const {
    std::vector<Rotation> matrices;
    for (const RotationSpec& spec : rotations.matrices) {
      RotationOptions options;
      options.mode = spec.shifted ? RotationMode::kBlockHadamardShifted : RotationMode::kHadamard;
      options.block_size = own_.block_size;
      const std::string what = path() + ": a rotation of size " + std::to_string(spec.size);
      options.root_dtype = rotations.root_dtype;
      matrices.push_back(Rotation::Make(spec.size, options, what));
    }
    return matrices;
  }

  OnlineMatrices MakeOnline(const Family& family) const {
    const OnlineRotationUnit unit = family.OnlineRotations(0).front();
    RotationOptions blocks;
    blocks.block_size = own_.max_tp_size;
    OnlineMatrices made;
    if (!own_.down_proj_online_layers.empty()) {
      const KroneckerFactors factors = FindKroneckerFactors(unit.intermediate);
      const std::string what = path() + ": the online rotation of down_proj (leave down_proj_online_layers empty)";
      made.m = Rotation::Make(factors.m, blocks, what);
      made.n = Rotation::Make(factors.n, {}, what);
    }
    made.heads = Rotation::Make(unit.heads, blocks, path() + ": the online rotation of o_proj");
    return made;
  }

  bool RotatesDown(int layer) const {
    const std::vector<int64_t>& layers = own_.down_proj_online_layers;
    return std::find(layers.begin(), layers.end(), layer) != layers.end();
  }

  void PlanOnline(const Family& family, ModelPlan& plan) const {
    if (family.OnlineRotations(0).empty()) {
      throw Error(ErrorCode::kUnsupported,
                  path() + ": online rotation is not defined for the family " + std::string(family.name()),
                  "set online: false");
    }
    const OnlineMatrices made = MakeOnline(family);
    for (const BlockInfo& block : family.layout().blocks) {
      for (const OnlineRotationUnit& unit : family.OnlineRotations(block.index)) {
        AddMatrix(plan, unit.o_proj, RotationRole::kHeads, *made.heads);
        if (!RotatesDown(block.index)) continue;
        AddMatrix(plan, unit.down_proj, RotationRole::kKroneckerLeft, *made.m);
        AddMatrix(plan, unit.down_proj, RotationRole::kKroneckerRight, *made.n);
      }
    }
    for (const int64_t layer : own_.down_proj_online_layers) {
      if (layer < 0 || layer >= static_cast<int64_t>(family.layout().blocks.size())) {
        plan.notes.Warn(path() + ".down_proj_online_layers",
                        fmt::format("layer {} does not exist; the model has {}", layer, family.layout().blocks.size()));
      }
    }
  }

  void AddMatrix(ModelPlan& plan, const std::string& module, RotationRole role, const Rotation& matrix) const {
    plan.decisions.facts.push_back({module, PlannedRotation{role, "", matrix.size(), own_.max_tp_size}});
  }

  void RotateOnline(Block& block, RunState& state) const {
    for (const OnlineRotationUnit& unit : state.family.OnlineRotations(block.info().index)) {
      LinearModule& o_proj = *block.FindLinear(unit.o_proj);
      const Rotation heads = *online_.heads;
      o_proj.weight().Transform([heads](const View& w) { RotateHeadsOfWeight(w, heads); });
      o_proj.input_transform() = std::make_shared<HeadsTransform>(heads);
      state.facts[unit.o_proj].push_back(OnlineRotation{RotationRole::kHeads, "", heads.Dense()});
      if (!RotatesDown(block.info().index)) continue;
      LinearModule& down_proj = *block.FindLinear(unit.down_proj);
      const Rotation m = *online_.m, n = *online_.n;
      down_proj.weight().Transform([m, n](const View& w) { RotateKronecker(w, m, n); });
      down_proj.input_transform() = std::make_shared<KroneckerTransform>(m, n);
      state.facts[unit.down_proj].push_back(OnlineRotation{RotationRole::kKroneckerLeft, "", m.Dense()});
      state.facts[unit.down_proj].push_back(OnlineRotation{RotationRole::kKroneckerRight, "", n.Dense()});
    }
  }

  QuarotConfig own_;
  RotationPlan rotations_;
  std::vector<Rotation> matrices_;
  OnlineMatrices online_;
};

}  // namespace

std::unique_ptr<Processor> MakeQuarot(const ProcessorConfig& config) {
  return std::make_unique<Quarot>(config, *config.As<QuarotConfig>());
}

}  // namespace modelslim
