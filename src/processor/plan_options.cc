#include "processor/plan_options.h"

namespace modelslim {

std::span<const MendName> AllMends() {
  static constexpr MendName kMends[] = {
      {"awq-gqa", &Mends::awq_gqa, "awq divides shared value heads by what it multiplies into o_proj"},
      {"zero-centred-norm", &Mends::zero_centred_norm,
       "norms of Qwen3-Next that smooth_quant or iter_smooth replaced are saved as w - 1, like the others"},
      {"bf16-scales", &Mends::bf16_scales,
       "input_scale is a number that servers can hold (bfloat16), and deq_scale is made from it"},
      {"f32-router-bias", &Mends::f32_router_bias,
       "e_score_correction_bias of DeepSeek-V3 stays float32, as the checkpoint has it"},
  };
  return kMends;
}

}  // namespace modelslim
