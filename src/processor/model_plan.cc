#include "processor/model_plan.h"

#include <utility>

namespace modelslim {

LinearDecision& ModelPlan::linear(std::string_view name) {
  const auto found = linears.find(name);
  MODELSLIM_CHECK(found != linears.end());
  return found->second;
}

void ModelPlan::Warn(std::string where, std::string text) {
  notes.push_back({PlanNote::Kind::kWarning, std::move(where), std::move(text)});
}

void ModelPlan::Inform(std::string where, std::string text) {
  notes.push_back({PlanNote::Kind::kInfo, std::move(where), std::move(text)});
}

}  // namespace modelslim
