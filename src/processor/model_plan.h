// What the recipe will make of every module, decided before any weight is read. Processors fill it in, the formats and
// the runner go by it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/layout.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// What becomes of one Linear.
struct LinearDecision {
  QuantMode mode = QuantMode::kFloat;
  int64_t group_size = 0;
  bool gains_bias = false;            // a shift of the norm before it moves into its bias
  std::string by;                     // "spec.process[1]"; empty while it stays float
  std::vector<std::string> shadowed;  // entries that match it too but come later
};

// A tensor that a processor adds to the output beside a module's own.
struct ExtraTensor {
  std::string name;
  DType dtype;
  Shape shape;
  std::string type;  // in the description; empty: not listed there
};

// Something worth telling the user before the run.
struct PlanNote {
  enum class Kind { kInfo, kWarning } kind = Kind::kInfo;
  std::string where;  // "recipe.yaml:7:12 (spec.process[0].include[1])", or a module
  std::string text;
};

struct ModelPlan {
  std::map<std::string, LinearDecision, std::less<>> linears;  // every Linear of every block
  std::map<std::string, DType, std::less<>> norm_biases;       // norms that gain a bias: its dtype
  std::map<std::string, std::vector<ExtraTensor>, std::less<>>
      extras;  // after the tensors of this module (or attention)
  std::vector<PlanNote> notes;
  bool december_2025 = false;  // numbers and files of the December 2025 release where they differ; set before planning
  bool kv_c8 = false;
  bool static_fa = false;
  std::vector<std::pair<std::string, std::string>> extra_entries;  // description entries that are no tensors
  struct Quarot {
    int64_t max_tp_size = 0;
    std::vector<std::string> heads_layers, kronecker_layers;
  };
  std::optional<Quarot> quarot;
  // Departures from the reference's numbers that the user asked for (--mend); set before any processor plans.
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
  Mends mends;
  bool global_rotation = false;  // optional/quarot.safetensors
  bool unties_embeddings = false;

  LinearDecision& linear(std::string_view name);
  void Warn(std::string where, std::string text);
  void Inform(std::string where, std::string text);
};

// The mends by the names that --mend takes.
struct MendName {
  std::string_view name;  // "awq-gqa"
  bool ModelPlan::Mends::*on;
  std::string_view what;  // for --help
};
std::span<const MendName> AllMends();

}  // namespace modelslim
