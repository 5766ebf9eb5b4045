#include "processor/model_plan.h"

#include <utility>

namespace modelslim {

void Decisions::Start(const ModelLayout& layout) {
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind == ModuleKind::kLinear) linears.emplace(module.name, LinearDecision{});
    }
  }
}

const LinearDecision& Decisions::linear(std::string_view name) const {
  const auto found = linears.find(name);
  MODELSLIM_CHECK(found != linears.end());
  return found->second;
}

LinearDecision& Decisions::linear(std::string_view name) {
  return const_cast<LinearDecision&>(std::as_const(*this).linear(name));
}

void PlanNotes::Warn(std::string where, std::string text) {
  all_.push_back({PlanNote::Kind::kWarning, std::move(where), std::move(text)});
}

void PlanNotes::Inform(std::string where, std::string text) {
  all_.push_back({PlanNote::Kind::kInfo, std::move(where), std::move(text)});
}

}  // namespace modelslim
