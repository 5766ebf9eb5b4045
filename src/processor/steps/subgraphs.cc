#include "processor/steps/subgraphs.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace modelslim {

namespace {

void ApplyToLinears(Block& block, const Subgraph& group, const Channels& scale) {
  LinearModule &source = *block.FindLinear(group.source), &target = *block.FindLinear(group.targets.front());
  MODELSLIM_CHECK(source.info().out_features() == scale.size() && target.info().in_features() == scale.size());
  const Channels inv = Reciprocal(scale);
  target.weight().Transform([scale](const View& w) { ScaleColumns(w, scale); }, Parameter::Reach::kRows);
  source.weight().Transform([inv](const View& w) { ScaleRows(w, inv); });
  if (source.bias() != nullptr) source.bias()->Transform([inv](const View& b) { ScaleRows(b, inv); });
}

void ApplyToNorm(Block& block, const Subgraph& group, const Channels& scale, const Channels* shift) {
  NormModule& norm = *block.FindNorm(group.source);
  std::vector<LinearModule*> targets;
  std::vector<LinearParams> params;
  for (const std::string& name : group.targets) {
    targets.push_back(block.FindLinear(name));
    params.push_back(MutableLinear(*targets.back()));
  }
  std::vector<Tensor> biases = ApplyNormLinear(MutableNorm(norm), params, scale, shift);
  for (size_t i = 0; i < biases.size(); ++i) {
    if (biases[i]) targets[i]->MakeBias(biases[i].dtype()).Set(std::move(biases[i]));
  }
}

}  // namespace

std::vector<Subgraph> SelectSubgraphs(const Family& family, int block, const std::vector<SubgraphType>& enabled,
                                      const Selection& select) {
  std::vector<Subgraph> chosen;
  for (Subgraph& group : family.Subgraphs(block)) {
    const bool wanted = std::find(enabled.begin(), enabled.end(), group.type) != enabled.end();
    if (wanted && select.Selects(group.source)) chosen.push_back(std::move(group));
  }
  std::stable_sort(chosen.begin(), chosen.end(), [](const Subgraph& a, const Subgraph& b) { return a.type < b.type; });
  return chosen;
}

void RequireSubgraphs(const Family& family, const std::string& path, const std::string& type) {
  for (const BlockInfo& block : family.layout().blocks) {
    if (!family.Subgraphs(block.index).empty()) return;
  }
  throw Error(
      ErrorCode::kUnsupported,
      path + ": " + type + " needs smoothing groups, and the family " + std::string(family.name()) + " declares none",
      "remove this entry, or choose a model of another family");
}

LinearParams MutableLinear(LinearModule& linear) {
  return {linear.weight().Mutable(), linear.bias() != nullptr ? linear.bias()->Mutable() : View{}};
}

NormParams MutableNorm(NormModule& norm) {
  return {norm.weight().Mutable(), norm.bias() != nullptr ? norm.bias()->Mutable() : View{}};
}

std::vector<ConstView> TargetWeights(Block& block, const Subgraph& group) {
  std::vector<ConstView> weights;
  for (const std::string& name : group.targets) weights.push_back(block.FindLinear(name)->weight().Get());
  return weights;
}

HeadLayout HeadsOf(const Subgraph& group) { return {group.heads, group.kv_heads}; }

std::optional<RowRanges> ValueRows(const Subgraph& group, LinearModule& source) {
  const Shape& shape = source.weight().shape();
  switch (group.fusion) {
    case Subgraph::Fusion::kNone:
      return std::nullopt;
    case Subgraph::Fusion::kQkv:
      return FusedQkvValueRows(shape[1], shape[0], HeadsOf(group));
    case Subgraph::Fusion::kKv:
      return FusedKvValueRows(shape[0], group.heads, group.nope_dim, group.v_dim);
  }
  return std::nullopt;
}

void ReleaseGroup(Block& block, const Subgraph& group, Keep keep) {
  if (LinearModule* const source = block.FindLinear(group.source)) source->Release(keep);
  for (const std::string& target : group.targets) block.FindLinear(target)->Release(keep);
}

void ApplyToChannels(Block& block, const Subgraph& group, const Channels& scale, const Channels* shift) {
  if (group.type == SubgraphType::kNormLinear) {
    ApplyToNorm(block, group, scale, shift);
  } else {
    ApplyToLinears(block, group, scale);
  }
}

void ApplyToOv(Block& block, const Subgraph& group, const OvScale& scale) {
  LinearModule& source = *block.FindLinear(group.source);
  ApplyOv(MutableLinear(source), MutableLinear(*block.FindLinear(group.targets.front())), scale,
          ValueRows(group, source));
}

}  // namespace modelslim
