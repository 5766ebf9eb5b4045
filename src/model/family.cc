#include "model/family.h"

#include <algorithm>
#include <utility>

namespace modelslim {

std::unique_ptr<Block> Family::MakeBlock(int index, const WeightSource& source) const {
  const BlockInfo& info = index < 0 ? RestInfo() : layout_.blocks.at(static_cast<size_t>(index));
  auto block = std::make_unique<Block>(info, source);
  for (const ModuleInfo& module : info.modules) {
    switch (module.kind) {
      case ModuleKind::kLinear:
        block->Add(std::make_unique<LinearModule>(module, source));
        break;
      case ModuleKind::kNorm:
        block->Add(std::make_unique<NormModule>(module, source, NormKindOf(module), NormEps(module)));
        break;
      case ModuleKind::kEmbedding:
      case ModuleKind::kOther:
        for (const ParamInfo& param : module.params) block->Add(Parameter(param, source));
        break;
    }
  }
  return block;
}

const BlockInfo& Family::RestInfo() const {
  std::call_once(rest_once_, [this] {
    rest_.index = -1;
    rest_.modules = layout_.rest;
  });
  return rest_;
}

Tensor Family::Embed(Block& rest, std::span<const int32_t> ids) const {
  return rest.parameter("model.embed_tokens.weight").LookUp(ids);
}

Tensor Family::Logits(Block& rest, const ConstView& hidden) const {
  const Tensor normed = rest.norm("model.norm").Forward(hidden);
  const Tensor logits = rest.linear("lm_head").FloatForward(normed.view(), Keep::kValues);
  return ConvertTo(logits.view(), DType::kF32);
}

Tensor Family::ForwardPart(Block& block, const ForwardContext&, std::string_view part, const ConstView&) const {
  throw Error(ErrorCode::kUnexpected, std::string(part) + " of " + block.name() + " cannot run by itself");
}

std::vector<Subgraph> Family::Subgraphs(int) const { return {}; }
std::vector<KvSmoothUnit> Family::KvSmoothUnits(int) const { return {}; }
std::optional<RotationPlan> Family::Rotations() const { return std::nullopt; }
std::vector<OnlineRotationUnit> Family::OnlineRotations(int) const { return {}; }

int64_t Family::MultiplyAddsPerToken(int block) const {
  int64_t sum = 0;
  for (const ModuleInfo& module : layout_.blocks.at(static_cast<size_t>(block)).modules) {
    if (module.kind == ModuleKind::kLinear) sum += module.out_features() * module.in_features();
  }
  return sum;
}

int64_t Family::KeepFloat(const std::function<bool(std::string_view)>& wanted, const std::string& reason) {
  int64_t count = 0;
  const auto kept = std::make_shared<const FloatDefault>(FloatDefault{"", reason});
  const auto keep = [&](std::vector<ModuleInfo>& modules) {
    for (ModuleInfo& module : modules) {
      if (module.kind != ModuleKind::kLinear || !wanted(module.name)) continue;
      module.kept_float = kept;
      ++count;
    }
  };
  for (BlockInfo& block : layout_.blocks) keep(block.modules);
  keep(layout_.rest);
  return count;
}

std::vector<std::pair<std::string, std::string>> Family::ConfigEdits(const std::vector<std::string_view>&, bool) const {
  return {};
}

}  // namespace modelslim
