// What is known before any weight is read: what the user asked for, what the recipe will make of every module, and what
// is worth telling about it. Steps fill it in; the formats and the runner go by it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/layout.h"
#include "processor/plan_options.h"
#include "quant/facts.h"
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

struct Decisions {
  std::map<std::string, LinearDecision, std::less<>> linears;  // every Linear of every block
  std::map<std::string, DType, std::less<>> norm_biases;       // norms that gain a bias: its dtype
  std::vector<PlannedFact> facts;                              // what steps add beside weights, as they planned it
  bool unties_embeddings = false;
  std::string model_quant_type;  // what the output calls the model; empty: what its layers make it

  // Every Linear of the model's blocks stays float.
  void Start(const ModelLayout& layout);
  LinearDecision& linear(std::string_view name);  // must exist
  const LinearDecision& linear(std::string_view name) const;
};

// Something worth telling the user before the run.
struct PlanNote {
  enum class Kind { kInfo, kWarning } kind = Kind::kInfo;
  std::string where;  // "recipe.yaml:7:12 (spec.process[0].include[1])", or a module
  std::string text;
};

class PlanNotes {
 public:
  void Warn(std::string where, std::string text);
  void Inform(std::string where, std::string text);
  const std::vector<PlanNote>& all() const { return all_; }

 private:
  std::vector<PlanNote> all_;
};

struct ModelPlan {
  StepOptions options;
  Decisions decisions;
  PlanNotes notes;
};

}  // namespace modelslim
