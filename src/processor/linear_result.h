// What quantization leaves in a Linear: its codes and the parameters of its input.
#pragma once

#include <optional>
#include <string>

#include "model/module.h"
#include "quant/activation.h"
#include "quant/affine.h"
#include "quant/weight_quantizer.h"
#include "tensor/quant_mode.h"

namespace modelslim {

class LinearResult : public ModuleResult {
 public:
  QuantMode mode = QuantMode::kFloat;
  std::string by;             // the recipe entry that made it
  ActivationSpec activation;  // how inputs are treated at run time (not of weight-only modes)
  bool weight_only = false;
  std::optional<AffineParams> input;  // static modes
  WeightSpec spec;                    // how the codes come about, unless they were made some other way

  // The codes; made now from the module's float weight when nothing needed them before.
  const QuantizedWeight& Weight(LinearModule& module);
  void SetWeight(QuantizedWeight weight) { weight_ = std::move(weight); }
  // Gives the codes away, for writing.
  QuantizedWeight TakeWeight();

 private:
  std::optional<QuantizedWeight> weight_;
};

// Throws Error(kInvalidModel) naming `name` and the row when a scale is no finite positive number.
void CheckScales(const QuantizedWeight& weight, const std::string& name);

// The result of `module` when it was quantized, else null.
LinearResult* QuantizedResult(LinearModule& module);

}  // namespace modelslim
