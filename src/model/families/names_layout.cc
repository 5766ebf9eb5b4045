#include "model/families/names_layout.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/checkpoint.h"
#include "io/quote.h"
#include "model/checkpoint_facts.h"
#include "model/name_parts.h"

namespace modelslim {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

struct NaturalOrder {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return NaturalLess(a, b); }
};

std::string Parent(std::string_view name) { return std::string(name.substr(0, name.rfind('.'))); }

std::string_view LastPart(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

// "model.layers.3" of everything below it; empty for what is below no number. The numbers of experts do not count.
std::string BlockOf(std::string_view name) {
  std::string_view before;
  for (const std::string_view part : PartsOf(name)) {
    if (IsNumber(part) && !before.empty() && before != "experts")
      return std::string(name.substr(0, static_cast<size_t>(part.data() + part.size() - name.data())));
    before = part;
  }
  return {};
}

bool LooksLikeNoLinear(std::string_view module) {
  const std::string_view last = LastPart(module);
  return last.find("norm") != std::string_view::npos || last.starts_with("conv") || last.ends_with("conv1d") ||
         IsEmbeddingName(module);
}

class Maker {
 public:
  explicit Maker(const NamesSource& source) : source_(source) {}

  ModelLayout Make() {
    RefuseOrphans();
    CollectParams();
    if (source_.conversion == nullptr) {
      CheckExperts();
      FindMtp();
      AddCopies();
    }
    layout_.dtype = source_.dtype;
    MakeModules();
    IgnoreLeftovers(source_.forms, &layout_);
    return std::move(layout_);
  }

 private:
  std::string Where() const { return source_.checkpoint.directory().string() + ": "; }

  void RefuseOrphans() const {
    const std::vector<std::string>& orphans = source_.forms.orphans();
    if (orphans.empty()) return;
    throw Error(ErrorCode::kInvalidModel,
                Where() + "expected a weight for every scale, found " + Quote(orphans.front()) + " without one" +
                    (orphans.size() > 1 ? " and " + std::to_string(orphans.size() - 1) + " more like it" : ""),
                "download or export the weights again");
  }

  void Add(ParamInfo param) {
    const auto origin = [](const ParamInfo& each) { return each.stored ? each.stored->values : each.name; };
    const auto known = params_.find(param.name);
    if (known == params_.end()) {
      params_.emplace(param.name, std::move(param));
      return;
    }
    throw Error(ErrorCode::kInvalidModel,
                Where() + "expected one source of " + Quote(param.name) +
                    ", found two: " + Quote(origin(known->second)) + " and " + Quote(origin(param)),
                "remove the one that is not meant from the weights");
  }

  // The name that a conversion gives; the values stay where they are.
  void Rename(ParamInfo* param) const {
    const std::string name = source_.conversion->new_name(param->name);
    if (name == param->name) return;
    if (!param->stored) {
      StoredWeight stored;
      stored.values = param->name;
      param->stored = std::make_shared<const StoredWeight>(std::move(stored));
    }
    param->name = name;
  }

  void AddConverted(ParamInfo param) {
    Rename(&param);
    const std::vector<std::string> projections = source_.conversion->chunks(param.name);
    if (projections.empty()) return Add(std::move(param));
    constexpr std::string_view kFused = ".gate_up_proj";
    const std::string experts =
        param.name.ends_with(kFused) ? param.name.substr(0, param.name.size() - kFused.size()) : param.name;
    for (ParamInfo& expert : CutStack(experts, projections, param)) Add(std::move(expert));
  }

  void AddOrSplit(ParamInfo param) {
    if (source_.conversion != nullptr) return AddConverted(std::move(param));
    const std::optional<StackName> stack = ParseStack(param.name);
    if (!stack || param.shape.size() != (stack->bias ? 2U : 3U)) return Add(std::move(param));
    for (ParamInfo& expert : SplitStack(*stack, param, source_.stacks)) Add(std::move(expert));
  }

  void CollectParams() {
    for (const CheckpointTensor& tensor : source_.checkpoint.tensors()) {
      if (source_.forms.IsPart(tensor.name)) continue;
      ParamInfo param;
      param.name = tensor.name;
      param.shape = tensor.shape;
      param.dtype = tensor.dtype;
      AddOrSplit(std::move(param));
    }
    for (const auto& [name, form] : source_.forms.forms()) {
      ParamInfo param;
      param.name = name;
      param.shape = form.shape;
      param.dtype = source_.dtype;
      param.stored = std::make_shared<const StoredWeight>(form.stored);
      AddOrSplit(std::move(param));
    }
  }

  void CheckExperts() {
    std::vector<std::string_view> names;
    for (const auto& [name, param] : params_) names.push_back(name);
    const ExpertGap gap = FindExpertGap(names);
    has_experts_ = gap.any;
    if (gap.missing.empty()) return;
    throw Error(ErrorCode::kInvalidModel,
                Where() + Quote(gap.experts) + ": expected " + std::to_string(gap.count) +
                    " experts without a gap, found no " + Quote(gap.missing),
                "download the weights again: a file of them is missing or of another model");
  }

  // Layers for multi-token prediction: by their names, or by what joins two tokens in them.
  void FindMtp() {
    for (const auto& [name, param] : params_) {
      const std::string block = BlockOf(name);
      const std::string parent = Parent(name);
      const std::string_view module = LastPart(parent);
      const bool joins = module == "eh_proj" || module == "enorm" || module == "hnorm";
      if (!block.empty() && (joins || HasParts(name, "mtp") || HasParts(name, "mtp_block"))) mtp_.insert(block);
    }
  }

  bool IsMtp(const std::string& block, std::string_view module) const {
    return mtp_.contains(block) || HasParts(module, "mtp") || HasParts(module, "mtp_block");
  }

  void AddCopy(const std::string& name, const ParamInfo& original) {
    if (params_.contains(name)) return;
    ParamInfo copy = original;
    copy.name = name;
    if (!copy.stored) copy.alias_of = original.name;
    params_.emplace(name, std::move(copy));
  }

  // What servers look for and some releases lack.
  void AddCopies() {
    if (source_.row == nullptr) return;
    const ParamInfo *embedding = nullptr, *head = nullptr;
    for (const auto& [name, param] : params_) {
      if (!BlockOf(name).empty() || !name.ends_with(kWeight)) continue;
      if (LastPart(Parent(name)) == "embed_tokens") embedding = &param;
      if (IsHeadName(Parent(name))) head = &param;
    }
    if (embedding == nullptr) return;
    if (source_.row->writes_tied_head && head == nullptr) AddCopy("lm_head.weight", *embedding);
    if (!source_.row->copies_into_mtp) return;
    for (const std::string& block : mtp_) {
      if (!params_.contains(block + ".eh_proj.weight")) continue;
      AddCopy(block + ".embed_tokens.weight", *embedding);
      AddCopy(block + ".shared_head.head.weight", head == nullptr ? *embedding : *head);
    }
  }

  bool IsLinear(std::string_view module, const ParamInfo& weight) const {
    return weight.shape.size() == 2 && (weight.stored || IsModelDType(weight.dtype)) && weight.shape[0] > 0 &&
           weight.shape[1] > 0 && weight.alias_of.empty() &&
           (source_.conversion != nullptr || !LooksLikeNoLinear(module));
  }

  void MakeModules() {
    std::map<std::string, BlockInfo, NaturalOrder> blocks;
    BlockInfo others;
    others.name = "other modules";
    std::set<std::string_view> biases;  // that belong to a Linear
    for (auto& [name, param] : params_) {
      if (biases.contains(name)) continue;
      const std::string module = name.find('.') == std::string::npos ? name : Parent(name), block = BlockOf(name);
      ModuleInfo info{module, ModuleKind::kOther, {}};
      if (name.ends_with(kWeight) && IsLinear(module, param)) {
        info.kind = ModuleKind::kLinear;
      } else if (params_.contains(module + std::string(kWeight)) && !name.ends_with(kWeight)) {
        info.name = name;  // the module's name is that of the Linear
      } else if (name.ends_with(kWeight) && param.shape.size() == 2 && IsEmbeddingName(module)) {
        info.kind = ModuleKind::kEmbedding;
      }
      info.params.push_back(param);
      if (info.kind == ModuleKind::kLinear) {
        const auto bias = params_.find(module + std::string(kBias));
        if (bias != params_.end() && bias->second.shape == Shape{param.shape[0]} && IsModelDType(bias->second.dtype)) {
          biases.insert(bias->first);
          info.params.push_back(bias->second);
        }
        if (source_.conversion == nullptr) {
          info.kept_float = WhyFloat(block, module);
        } else if (source_.conversion->to_bf16(module)) {
          for (ParamInfo& each : info.params) each.dtype = DType::kBF16;
        }
      }
      Place(std::move(info), block, &blocks, &others);
    }
    // A bias comes before its weight in the order of names.
    for (auto& [name, block] : blocks) {
      RemoveClaimed(biases, &block.modules);
      block.index = static_cast<int>(layout_.blocks.size());
      layout_.blocks.push_back(std::move(block));
    }
    RemoveClaimed(biases, &layout_.rest);
    if (others.modules.empty()) return;
    others.index = static_cast<int>(layout_.blocks.size());
    layout_.blocks.push_back(std::move(others));
  }

  void Place(ModuleInfo info, const std::string& block, std::map<std::string, BlockInfo, NaturalOrder>* blocks,
             BlockInfo* others) {
    if (!block.empty()) {
      BlockInfo& place = (*blocks)[block];
      place.name = block;
      place.modules.push_back(std::move(info));
    } else if (info.kind == ModuleKind::kLinear && (source_.conversion != nullptr || !IsHeadName(info.name))) {
      others->modules.push_back(std::move(info));
    } else {
      layout_.rest.push_back(std::move(info));
    }
  }

  static void RemoveClaimed(const std::set<std::string_view>& claimed, std::vector<ModuleInfo>* modules) {
    std::erase_if(*modules, [&](const ModuleInfo& module) {
      return module.kind == ModuleKind::kOther && claimed.contains(module.params.front().name);
    });
  }

  std::shared_ptr<const FloatDefault> WhyFloat(const std::string& block, const std::string& module) const {
    const auto because = [](std::string_view word, std::string_view reason) {
      return std::make_shared<const FloatDefault>(FloatDefault{std::string(word), std::string(reason)});
    };
    if (IsHeadName(module) || (!block.empty() && EndsWithParts(module, "head"))) return because("", "a head");
    for (const FloatRow& row : GeneralFloats()) {
      if (row.Matches(module)) return because(row.parts, row.reason);
    }
    if (source_.row != nullptr) {
      for (const FloatRow& row : source_.row->floats) {
        if (row.Matches(module)) return because(row.parts, row.reason);
      }
      for (const FloatRow& row : source_.row->floats_beside_experts) {
        if (has_experts_ && row.Matches(module)) return because(row.parts, row.reason);
      }
    }
    if (IsMtp(block, module) && (source_.row == nullptr || !source_.row->quantizes_mtp)) {
      const std::string above = Parent(block);
      const std::string number = std::string(LastPart(above)) + "." + std::string(LastPart(block));
      return because(HasParts(module, "mtp") ? "mtp" : number, "a layer for multi-token prediction");
    }
    return nullptr;
  }

  const NamesSource& source_;
  ModelLayout layout_;
  std::map<std::string, ParamInfo, NaturalOrder> params_;
  std::set<std::string> mtp_;  // blocks
  bool has_experts_ = false;
};

}  // namespace

ModelLayout MakeNamesLayout(const NamesSource& source) { return Maker(source).Make(); }

}  // namespace modelslim
