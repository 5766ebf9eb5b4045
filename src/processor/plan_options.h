// What the user asked for beside the recipe that changes numbers or files. Set before anything is planned.
#pragma once

#include <span>
#include <string_view>

#include "tensor/compat.h"

namespace modelslim {

// Departures from the reference's numbers (--mend).
struct Mends {
  // ov groups whose query heads share value heads: one scale per value head, divided out of v_proj.
  bool awq_gqa = false;
  // Norms that Family::StoresShifted() and a smoothing step replaced are brought back too.
  bool zero_centred_norm = false;
  // The scale of a static input is rounded to the type in which servers keep it, before deq_scale is made from it.
  bool bf16_scales = false;
  // The routers' correction biases keep the checkpoint's type where the reference rounds them to the model's.
  bool f32_router_bias = false;
};

// The mends by the names that --mend takes.
struct MendName {
  std::string_view name;  // "awq-gqa"
  bool Mends::*on;
  std::string_view what;  // for --help
};
std::span<const MendName> AllMends();

struct StepOptions {
  Compat compat;
  Mends mends;
};

}  // namespace modelslim
