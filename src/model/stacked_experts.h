// Experts that a checkpoint holds as one tensor of three axes, as the single Linears that servers look up.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/architectures.h"
#include "model/layout.h"

namespace modelslim {

// What a name says of a stack: "model.layers.3.mlp.experts.gate_up_proj" [experts, out, in].
struct StackName {
  std::string experts;          // "model.layers.3.mlp.experts": expert 7 of it is "<experts>.7"
  std::string_view projection;  // "gate_up_proj"; lies in the name
  bool bias = false;            // "experts.gate_up_proj_bias" [experts, out]
};
// Nothing for names of anything else.
std::optional<StackName> ParseStack(std::string_view tensor);

// What decides how a stack is taken apart.
struct StackRules {
  int64_t hidden = 0;      // of the model; 0: not known
  std::string hidden_key;  // what says so: "config.json: text_config.hidden_size"
  StackedForm form = StackedForm::kByShape;
  std::optional<bool> transposed;  // the user's word, which comes first
  bool interleaved = false;
};

// The parameters of all experts, "<experts>.E.gate_proj.weight" and so on, in the order of the experts. `whole`: the
// stack [experts, out, in] or [experts, in, out], or a stack of biases; if its values are codes, `stored` says how.
// Throws Error(kInvalidModel) for a shape that fits neither form, or both where nothing decides.
std::vector<ParamInfo> SplitStack(const StackName& name, const ParamInfo& whole, const StackRules& rules);

// The same for a stack [experts, rows, in] that is cut into equal parts of its rows by order:
// "<experts>.E.<projection>.weight". Throws Error(kInvalidModel) where the rows cannot be cut so.
std::vector<ParamInfo> CutStack(const std::string& experts, const std::vector<std::string>& projections,
                                const ParamInfo& whole);

// Experts are numbered from 0 without a gap, and all have the same projections.
struct ExpertGap {
  bool any = false;     // there are experts
  std::string missing;  // the first weight that is not there; empty: all well
  std::string experts;  // "model.layers.3.mlp.experts"
  int64_t count = 0;    // that these should be
};
ExpertGap FindExpertGap(const std::vector<std::string_view>& tensors);

}  // namespace modelslim
