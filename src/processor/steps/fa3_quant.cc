#include "processor/steps/fa3_quant.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/log.h"
#include "quant/activations/fa3.h"

namespace modelslim {
namespace {

// In the order in which an attention calls its hook. The ratio is the share of a head's values that its range has to
// cover.
struct Branch {
  FaPart part;
  double ratio;
};
constexpr std::array<Branch, 3> kBranches = {{{FaPart::kQuery, 0.9999}, {FaPart::kKey, 0.9999}, {FaPart::kValue, 1.0}}};

size_t IndexOf(FaPart part) {
  return static_cast<size_t>(
      std::find_if(kBranches.begin(), kBranches.end(), [&](const Branch& b) { return b.part == part; }) -
      kBranches.begin());
}

// Takes the ranges; what passes stays as it is.
class ObservingHook : public FaHook {
 public:
  explicit ObservingHook(int64_t heads)
      : ranges_{HeadRanges(heads, kBranches[0].ratio), HeadRanges(1, kBranches[1].ratio),
                HeadRanges(1, kBranches[2].ratio)} {}

  std::optional<Tensor> Apply(FaPart part, const ConstView& x, const RowGroups& groups) override {
    for (int64_t s = 0; s < groups.samples(); ++s) {
      ranges_[IndexOf(part)].Observe(x.Rows(groups.offsets[s], groups.offsets[s + 1]));
    }
    return std::nullopt;
  }
  bool seen() const {
    return std::all_of(ranges_.begin(), ranges_.end(), [](const HeadRanges& ranges) { return ranges.seen(); });
  }
  std::array<AffineTable, 3> Params() const {
    return {ranges_[0].Int8Params(), ranges_[1].Int8Params(), ranges_[2].Int8Params()};
  }

 private:
  std::array<HeadRanges, 3> ranges_;
};

// What later processors' forwards see.
class QuantizingHook : public FaHook {
 public:
  explicit QuantizingHook(std::array<AffineTable, 3> params) : params_(std::move(params)) {}

  std::optional<Tensor> Apply(FaPart part, const ConstView& x, const RowGroups&) override {
    if (part == FaPart::kValue) return std::nullopt;  // nobody would look at it
    Tensor out(DType::kF32, x.shape);
    FakeQuantizeHeads(x, params_[IndexOf(part)], /*fp8=*/false, out.view());
    return out;
  }

 private:
  std::array<AffineTable, 3> params_;
};

bool IsInt8PerHead(const QConfig& qconfig) {
  return qconfig.dtype == QDType::kInt8 && qconfig.scope == QScope::kPerHead && qconfig.symmetric;
}

void RefuseOthers(const std::string& path, const std::optional<QConfig>& qconfig) {
  if (!qconfig || IsInt8PerHead(*qconfig)) return;
  throw Error(ErrorCode::kToDo,
              fmt::format("{}: fa3_quant of {} {}{} is not available yet; this version has symmetric int8 per_head",
                          qconfig->path.empty() ? path : qconfig->path, EnumName(qconfig->dtype),
                          EnumName(qconfig->scope), qconfig->symmetric ? "" : ", asymmetric"),
              "leave the qconfig out, or give {dtype: int8, scope: per_head, symmetric: true, method: minmax}");
}

class Fa3Quant : public Processor {
 public:
  Fa3Quant(const ProcessorConfig& config, const Fa3Config& own) : Processor(config), own_(own) {}

  bool NeedsData() const override { return true; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    RefuseOthers(path(), own_.qconfig);
    if (own_.details) {
      for (const auto* branch : {&own_.details->fa_q, &own_.details->fa_k, &own_.details->fa_v})
        RefuseOthers(path(), *branch);
    }
    bool possible = false;
    for (const BlockInfo& block : family.layout().blocks) {
      for (const FaAttention& attention : family.FaAttentions(block.index)) {
        possible = true;
        if (own_.select.Selects(attention.name)) PlanAttention(attention, plan);
      }
    }
    if (possible) return;
    throw Error(ErrorCode::kUnsupported,
                path() + ": fa3_quant needs latent attention, which the family " + std::string(family.name()) +
                    " does not have",
                "remove this entry, or choose a DeepSeek-V3 model");
  }

  void Preprocess(Block& block, RunState& state) override {
    hooks_.clear();
    for (const FaAttention& attention : state.family.FaAttentions(block.info().index)) {
      std::shared_ptr<FaHook>& hook = block.fa_hook(attention.name);
      // One that an earlier entry took stays as it is.
      if (hook != nullptr || !own_.select.Selects(attention.name)) continue;
      const auto observing = std::make_shared<ObservingHook>(attention.heads);
      hooks_.emplace(attention.name, observing);
      hook = observing;
    }
  }

  void Postprocess(Block& block, RunState& state) override {
    for (const auto& [name, observing] : hooks_) {
      if (!observing->seen()) {
        throw Error(ErrorCode::kSpec, path() + ": no token reached " + name,
                    "use a calibration set with at least one sample");
      }
      std::array<AffineTable, 3> params = observing->Params();
      state.facts[name].push_back(FaScales{params[0], params[1], params[2]});
      block.fa_hook(name) = std::make_shared<QuantizingHook>(std::move(params));
    }
    hooks_.clear();
  }

 private:
  void PlanAttention(const FaAttention& attention, ModelPlan& plan) const {
    const auto takes_it = [&](const PlannedFact& fact) {
      return fact.module == attention.name && std::holds_alternative<PlannedFaScales>(fact.what);
    };
    if (std::any_of(plan.decisions.facts.begin(), plan.decisions.facts.end(), takes_it)) {
      plan.notes.Inform(attention.name,
                        path() + " comes after another fa3_quant that takes this attention, and leaves it alone");
      return;
    }
    plan.decisions.facts.push_back({attention.name, PlannedFaScales{attention.heads}});
  }

  Fa3Config own_;
  std::map<std::string, std::shared_ptr<ObservingHook>> hooks_;
};

}  // namespace

std::unique_ptr<Processor> MakeFa3Quant(const ProcessorConfig& config) {
  return std::make_unique<Fa3Quant>(config, *config.As<Fa3Config>());
}

}  // namespace modelslim
