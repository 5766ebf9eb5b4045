// The states of a Linear that is being quantized: calibrating (running statistics, fake quantization), then deployed.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/file.h"
#include "model/module.h"
#include "processor/linears/linear_result.h"
#include "quant/moments/descent.h"
#include "quant/moments/gptq.h"

namespace modelslim {

// Everything that decides how a Linear is quantized, checked and ready to use.
struct LinearQuantSpec {
  QuantMode mode = QuantMode::kFloat;
  bool weight_only = false;
  ActivationSpec activation;
  WeightSpec weight;
  std::optional<GptqOptions> gptq;        // instead of `weight`
  std::optional<DescentOptions> descent;  // likewise
  std::string by;                         // "spec.process[1]"
  // Static inputs: the scale is rounded to this type when calibration ends (--mend bf16-scales).
  std::optional<DType> input_scale_type;

  // Whether calibration needs to see data.
  bool NeedsData() const { return UsesMoment() || (!weight_only && !IsDataFree(activation)); }
  // Whether the weight is rounded with the second moment of its inputs, after the last sample.
  bool UsesMoment() const { return gptq.has_value() || descent.has_value(); }
};

// Puts `module` into the calibrating state; `scratch` is a directory for inputs that GPTQ keeps; `sampled_rows` > 0:
// some rows of its input are kept, for OutputError().
void StartCalibration(LinearModule& module, const LinearQuantSpec& spec, const fs::path& scratch,
                      int64_t sampled_rows = 0);
// True while it is in that state, whichever processor put it there.
bool IsCalibrating(LinearModule& module);
// True when calibration needs data and no token ever reached the module.
bool IsUnseen(LinearModule& module);
// Gives unseen modules what `others` have seen together: the hull of their input ranges, for GPTQ the sum of their
// Hessians. All are of one width and calibrated alike. False when none of the others was seen.
bool PoolCalibration(std::span<LinearModule* const> unseen, std::span<LinearModule* const> others,
                     const fs::path& scratch);

// For modules without weights: the forward has the types of a calibrating or deployed one and computes nothing.
void SketchCalibration(LinearModule& module, const LinearQuantSpec& spec);
void SketchDeployment(LinearModule& module, const LinearQuantSpec& spec);

// Ends calibration: the module gets its LinearResult and, for later processors, the deployed forward. Codes of
// data-free weights are made only when somebody asks.
void Deploy(LinearModule& module);

}  // namespace modelslim
