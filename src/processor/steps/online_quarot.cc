#include "processor/steps/online_quarot.h"

#include <map>
#include <utility>

#include "base/error.h"
#include "quant/rotation/rotation.h"
#include "quant/rotation/rotation_apply.h"

namespace modelslim {
namespace {

// x R for every head of x [rows, heads * size], by the matrix rounded to the type of x.
class HeadRotation : public InputTransform {
 public:
  explicit HeadRotation(Rotation rotation) : rotation_(std::move(rotation)) {}
  Tensor Apply(const ConstView& x) const override {
    Tensor out = Tensor::Copy(x);
    RotateRight({out.view().data, x.dtype, {x.size() / rotation_.size(), rotation_.size()}}, rotation_.CastTo(x.dtype));
    return out;
  }

 private:
  Rotation rotation_;
};

class OnlineQuarot : public Processor {
 public:
  OnlineQuarot(const ProcessorConfig& config, const OnlineQuarotConfig& own) : Processor(config), own_(own) {}

  bool NeedsData() const override { return false; }

  void Plan(const Family& family, ModelPlan& plan) const override {
    bool possible = false;
    for (const BlockInfo& block : family.layout().blocks) {
      std::map<std::string, std::pair<int, int>> selected;  // attention -> sites selected, sites in all
      for (const RotationSite& site : family.RotationSites(block.index)) {
        possible = true;
        ++selected[site.attention].second;
        if (!own_.select.Selects(site.name)) continue;
        ++selected[site.attention].first;
        Make(site);
        plan.decisions.facts.push_back({site.attention, PlannedRotation{RotationRole::kSite, site.name, site.size, 0}});
      }
      for (const auto& [attention, counts] : selected) {
        if (counts.first == 0 || counts.first == counts.second) continue;
        plan.notes.Warn(attention,
                        path() + " rotates only some of its queries and keys, which changes what it computes");
      }
    }
    if (possible) return;
    throw Error(ErrorCode::kUnsupported,
                path() + ": the family " + std::string(family.name()) + " has no place for a rotation at run time",
                "remove this entry; quarot rotates the weights of every family that has a rotation map");
  }

  void Preprocess(Block& block, RunState& state) override {
    for (const RotationSite& site : state.family.RotationSites(block.info().index)) {
      if (!own_.select.Selects(site.name)) continue;
      const Rotation rotation = Make(site);
      block.rotation(site.name) = std::make_shared<HeadRotation>(rotation);
      state.facts[site.attention].push_back(OnlineRotation{RotationRole::kSite, site.name, rotation.Dense()});
    }
  }

  void Postprocess(Block&, RunState&) override {}

 private:
  Rotation Make(const RotationSite& site) const {
    RotationOptions options;
    options.block_size = own_.block_size;
    return Rotation::Make(site.size, options, path() + ": the rotation of " + site.name);
  }

  OnlineQuarotConfig own_;
};

}  // namespace

std::unique_ptr<Processor> MakeOnlineQuarot(const ProcessorConfig& config) {
  return std::make_unique<OnlineQuarot>(config, *config.As<OnlineQuarotConfig>());
}

}  // namespace modelslim
