// linear_quant: turns the selected Linears into quantized ones.
#pragma once

#include <memory>

#include "processor/linears/quant_forward.h"
#include "processor/processor.h"

namespace modelslim {

std::unique_ptr<Processor> MakeLinearQuant(const ProcessorConfig& config);

// A parsed qconfig pair as the quantizers want it. Throws Error(kUnsupported) for a pair that has no quantizer here.
LinearQuantSpec ToQuantSpec(const LinearQConfig& qconfig, const std::string& by);
// The halves alone (flex_awq_ssz, awq, dynamic_cache).
WeightSpec ToWeightSpec(const QConfig& weight);
ActivationSpec ToActivationSpec(const QConfig& act);

}  // namespace modelslim
