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

std::span<const MendName> AllMends() {
  static constexpr MendName kMends[] = {
      {"awq-gqa", &ModelPlan::Mends::awq_gqa, "awq divides shared value heads by what it multiplies into o_proj"},
      {"zero-centred-norm", &ModelPlan::Mends::zero_centred_norm,
       "norms of Qwen3-Next that smooth_quant or iter_smooth replaced are saved as w - 1, like the others"},
      {"bf16-scales", &ModelPlan::Mends::bf16_scales,
       "input_scale is a number that servers can hold (bfloat16), and deq_scale is made from it"},
      {"f32-router-bias", &ModelPlan::Mends::f32_router_bias,
       "e_score_correction_bias of DeepSeek-V3 stays float32, as the checkpoint has it"},
  };
  return kMends;
}

}  // namespace modelslim
