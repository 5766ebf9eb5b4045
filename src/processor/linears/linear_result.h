// What quantization leaves in a Linear: its codes and the parameters of its input.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "model/module.h"
#include "quant/activations/activation.h"
#include "quant/numbers/affine.h"
#include "quant/weights/weight_quantizer.h"
#include "tensor/quant_mode.h"

namespace modelslim {

class RowSample;

// In which servers keep the scale of a static input: the type they compute in, which for float32 models is bfloat16
// too.
constexpr DType ServedScaleType(DType model) { return model == DType::kF16 ? DType::kF16 : DType::kBF16; }

class LinearResult : public ModuleResult {
 public:
  LinearResult();
  ~LinearResult() override;

  QuantMode mode = QuantMode::kFloat;
  std::string by;             // the recipe entry that made it
  ActivationSpec activation;  // how inputs are treated at run time (not of weight-only modes)
  bool weight_only = false;
  std::optional<AffineParams> input;  // static modes
  std::string range_from;             // of an expert that no token chose: where its input range comes from
  std::unique_ptr<RowSample> sample;  // of what entered it while calibrating; null when nobody asked
  WeightSpec spec;                    // how the codes come about, unless they were made some other way

  // The codes; made now from the module's float weight when nothing needed them before.
  const QuantizedWeight& Weight(LinearModule& module);
  // `can_be_made_again`: from the module's weight and `spec`, with the same codes.
  void SetWeight(QuantizedWeight weight, bool can_be_made_again);
  // Drops codes that can be made again.
  void Release();
  // Gives the codes away, for writing.
  QuantizedWeight TakeWeight();

 private:
  std::optional<QuantizedWeight> weight_;
  bool can_be_made_again_ = true;
};

// Throws Error(kInvalidModel) when a scale of `weight`, which was made from `source`, is no finite positive number:
// naming the row, and whether the checkpoint has it so or an earlier step made it so.
void CheckScales(const QuantizedWeight& weight, Parameter& source);
// The same for element `index` of a weight, or of its rows from `first_row` on: `changed` when steps of the recipe have
// made it what it is.
[[noreturn]] void ThrowNotFinite(const std::string& name, const ConstView& values, int64_t index, bool changed,
                                 int64_t first_row = 0);

// The result of `module` when it was quantized, else null.
LinearResult* QuantizedResult(LinearModule& module);

}  // namespace modelslim
