// What the input of a Linear goes through while the Linear is calibrated.
#pragma once

#include <optional>
#include <span>

#include "model/module.h"
#include "processor/linears/quant_forward.h"
#include "processor/observing/input_tape.h"

namespace modelslim {

// MX: scales belong to blocks of values, inputs pass unchanged while calibrating.
bool IsBlockScope(const ActivationSpec& spec);

// Statistics and fake quantization of the input; with GPTQ also the second moment of what the layer sees.
class CalibratingStage : public ActivationStage {
 public:
  CalibratingStage(const LinearQuantSpec& spec, int64_t channels, const fs::path& scratch);

  Tensor Apply(const ConstView& x, const RowGroups& groups) override;
  bool SameAs(const ActivationStage& other) const override;
  // Takes over what others have seen, none of it having been seen here. False when none has seen anything.
  bool Pool(std::span<CalibratingStage* const> others);

  const ActivationQuantizer* quantizer() const { return quantizer_ ? &*quantizer_ : nullptr; }
  int64_t gptq_rows() const { return gptq_rows_; }  // seen for GPTQ
  Tensor HessianValue();                            // f32 [channels, channels]; after the last row

 private:
  void Fold(InputTape& tape);

  LinearQuantSpec spec_;
  int64_t channels_;
  std::optional<ActivationQuantizer> quantizer_;
  std::optional<WaitingInputs> inputs_;  // with GPTQ
  std::optional<Hessian> hessian_;       // of those that wait no longer
  int64_t gptq_rows_ = 0;
  bool used_ = false;
};

}  // namespace modelslim
