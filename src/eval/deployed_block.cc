#include "eval/deployed_block.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/words.h"
#include "eval/deployed_linear.h"
#include "kernels/gemm.h"
#include "quant/activations/fa3.h"

namespace modelslim {
namespace {

constexpr size_t kShown = 5;

// x seen as matrices [m, n]: M' x N, either of which may be null (x of the heads: M' x; at a site: x N).
class MatrixTransform : public InputTransform {
 public:
  MatrixTransform(std::shared_ptr<const Tensor> left, std::shared_ptr<const Tensor> right)
      : left_(std::move(left)), right_(std::move(right)) {}

  Tensor Apply(const ConstView& x) const override {
    Tensor out = ConvertTo(x, DType::kF32);
    if (left_) {
      const int64_t m = left_->shape().front(), n = x.cols() / m;
      Tensor rotated(DType::kF32, out.shape());
      for (int64_t row = 0; row < x.rows(); ++row) {
        const ConstView own{out.as<float>() + row * x.cols(), DType::kF32, {m, n}};
        MatMul(left_->view(), own, View{rotated.as<float>() + row * x.cols(), DType::kF32, {m, n}},
               {.transpose_a = true});
      }
      out = std::move(rotated);
    }
    if (right_) {
      const int64_t n = right_->shape().front();
      Tensor rotated(DType::kF32, out.shape());
      MatMul(ConstView{out.as<float>(), DType::kF32, {x.size() / n, n}}, right_->view(),
             View{rotated.as<float>(), DType::kF32, {x.size() / n, n}});
      out = std::move(rotated);
    }
    return out;
  }

 private:
  std::shared_ptr<const Tensor> left_, right_;
};

class FaRounding : public FaHook {
 public:
  explicit FaRounding(FaScales scales) : scales_(std::move(scales)) {}

  std::optional<Tensor> Apply(FaPart part, const ConstView& x, const RowGroups&) override {
    if (part == FaPart::kValue) return std::nullopt;  // the values are the keys as they left the hook
    Tensor out(DType::kF32, x.shape);
    FakeQuantizeHeads(x, part == FaPart::kQuery ? scales_.query : scales_.key, /*fp8=*/false, out.view());
    return out;
  }

 private:
  FaScales scales_;
};

// The rotations of one Linear's input, as far as there are any.
std::shared_ptr<const InputTransform> InputRotation(std::vector<Fact> facts) {
  std::shared_ptr<const Tensor> left, right;
  for (Fact& fact : facts) {
    auto* const rotation = std::get_if<OnlineRotation>(&fact);
    if (rotation == nullptr || rotation->role == RotationRole::kSite) continue;
    auto& side = rotation->role == RotationRole::kKroneckerRight ? right : left;
    side = std::make_shared<const Tensor>(std::move(rotation->matrix));
  }
  if (!left && !right) return nullptr;
  return std::make_shared<MatrixTransform>(std::move(left), std::move(right));
}

}  // namespace

DeployedModel::DeployedModel(const SavedOutput& output, ServerPhase phase)
    : output_(output), phase_(phase), floats_(MakeWeightSource(output.weights())) {
  Problems problems;
  for (SavedLinear& linear : output.CheckLinears(problems)) {
    std::string name = linear.name;
    linears_.emplace(std::move(name), std::move(linear));
  }
  if (problems.empty()) return;
  throw Error(ErrorCode::kInvalidModel,
              output.directory().string() + ": the output is not what its format asks for" +
                  LinesBelow(problems.Take(), kShown),
              "quantize again; 'modelslim verify' lists all of it");
}

std::vector<SavedLinear> DeployedModel::linears() const {
  std::vector<SavedLinear> all;
  for (const auto& [name, linear] : linears_) all.push_back(linear);
  return all;
}

std::string DeployedModel::TypeOf(const std::string& linear) const {
  const auto found = linears_.find(linear);
  return found == linears_.end() ? std::string(QuantModeName(QuantMode::kFloat)) : found->second.type;
}

Tensor DeployedModel::Bias(const std::string& module) const {
  const CheckpointTensor* const found = output_.weights().Find(module + ".bias");
  if (found == nullptr) return {};
  const SharedTensor stored = output_.weights().Get(*found);
  return ConvertTo(stored.view(), DType::kF32);
}

void DeployedModel::Dress(Block& block) const {
  for (LinearModule* const module : block.linears()) {
    const auto found = linears_.find(module->name());
    if (found != linears_.end()) {
      module->forward() = MakeDeployedForward(output_, found->second, phase_);
    } else if (module->bias() == nullptr) {
      if (Tensor bias = Bias(module->name())) module->MakeBias(DType::kF32).Set(std::move(bias));
    }
    module->input_transform() = InputRotation(output_.FactsOf(module->name()));
  }
  for (const ModuleInfo& info : block.info().modules) {
    NormModule* const norm = info.kind == ModuleKind::kNorm ? block.FindNorm(info.name) : nullptr;
    if (norm == nullptr || norm->bias() != nullptr) continue;
    if (Tensor bias = Bias(info.name)) norm->MakeBias(DType::kF32).Set(std::move(bias));
  }
  for (const std::string& attention : block.info().attention) {
    for (Fact& fact : output_.FactsOf(attention)) {
      if (auto* const scales = std::get_if<FaScales>(&fact)) {
        block.fa_hook(attention) = std::make_shared<FaRounding>(std::move(*scales));
      }
      auto* const rotation = std::get_if<OnlineRotation>(&fact);
      if (rotation == nullptr || rotation->role != RotationRole::kSite) continue;
      block.rotation(rotation->site) =
          std::make_shared<MatrixTransform>(nullptr, std::make_shared<const Tensor>(std::move(rotation->matrix)));
    }
  }
}

const SavedLinear* DeployedModel::Find(const ParamInfo& param) const {
  constexpr std::string_view kWeight = ".weight";
  if (!param.name.ends_with(kWeight)) return nullptr;
  const auto found = linears_.find(std::string_view(param.name).substr(0, param.name.size() - kWeight.size()));
  return found == linears_.end() ? nullptr : &found->second;
}

std::optional<SharedTensor> DeployedModel::Map(const ParamInfo& param) const {
  return Find(param) != nullptr ? std::nullopt : floats_->Map(param);
}

bool DeployedModel::IsInPlace(const ParamInfo& param) const {
  return Find(param) == nullptr && floats_->IsInPlace(param);
}

Tensor DeployedModel::Load(const ParamInfo& param) const {
  const SavedLinear* const linear = Find(param);
  return linear != nullptr ? output_.Dequantize(*linear) : floats_->Load(param);
}

void DeployedModel::WillNeed(const ParamInfo& param) const { output_.weights().WillNeed(param.name); }
void DeployedModel::DontNeed(const ParamInfo& param) const { output_.weights().DontNeed(param.name); }

DeployedCache::DeployedCache(const SavedOutput& output, const Block& block) {
  for (const std::string& attention : block.info().attention) {
    for (Fact& fact : output.FactsOf(attention)) {
      if (auto* const scales = std::get_if<KvScales>(&fact)) scales_.emplace(attention, std::move(*scales));
    }
  }
}

void DeployedCache::Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
                            const RowGroups&) {
  const auto found = scales_.find(attention);
  if (found == scales_.end()) return;
  const IntFormat format{8, /*symmetric=*/false};
  const auto store = [&](const ConstView& states, const AffineTable& scales) {
    FakeQuantize(states, scales, format, View{const_cast<void*>(states.data), states.dtype, states.shape});
  };
  store(keys, found->second.keys);
  store(values, found->second.values);
}

}  // namespace modelslim
