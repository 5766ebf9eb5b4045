// What the input of a Linear goes through while the Linear is calibrated.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "model/module.h"
#include "processor/linears/quant_forward.h"
#include "processor/observing/input_tape.h"

namespace modelslim {

// MX: scales belong to blocks of values, inputs pass unchanged while calibrating.
bool IsBlockScope(const ActivationSpec& spec);

// Statistics and fake quantization of the input; with GPTQ and descent also the second moment of what the layer sees.
class CalibratingStage : public ActivationStage {
 public:
  CalibratingStage(const LinearQuantSpec& spec, int64_t channels, const fs::path& scratch);

  Tensor Apply(const ConstView& x, const RowGroups& groups) override;
  bool SameAs(const ActivationStage& other) const override;
  // Takes over what others have seen, none of it having been seen here. False when none has seen anything.
  bool Pool(std::span<CalibratingStage* const> others);

  const ActivationQuantizer* quantizer() const { return quantizer_ ? &*quantizer_ : nullptr; }
  int64_t moment_rows() const { return moment_rows_; }  // seen for the second moment
  // Of what was seen, f32; after the last row. For descent every row has length 1 first: a few tokens that are a
  // hundred times as long as the others would else be all that counts.
  ConstView SecondMoment();
  // Of that moment, for weights of `dtype`. Made once for all Linears that
  // share the stage and want it alike. `what` names the first of them, for messages. Valid until the next call.
  const GptqFactor& Factor(float percdamp, DType dtype, const std::string& what);

 private:
  void Fold(InputTape& tape);
  void AddRows(const ConstView& rows);
  Hessian& Moment();

  LinearQuantSpec spec_;
  int64_t channels_;
  std::optional<ActivationQuantizer> quantizer_;
  std::optional<WaitingInputs> inputs_;  // with a method that uses the moment
  std::optional<Hessian> hessian_;       // of those that wait no longer
  Tensor moment_;                        // its value, when all have been seen
  std::optional<GptqFactor> factor_;
  int64_t moment_rows_ = 0;
  bool used_ = false;
};

}  // namespace modelslim
