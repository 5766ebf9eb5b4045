// What a recipe says about a quantizer, as the quantizers want it.
#pragma once

#include <optional>
#include <string>

#include "config/recipe/qconfig.h"
#include "processor/linears/quant_forward.h"

namespace modelslim {

// A parsed qconfig pair, and its type where that does not follow from it. Throws Error(kUnsupported) for a pair that
// has no quantizer here.
LinearQuantSpec ToQuantSpec(const LinearQConfig& qconfig, const std::string& by,
                            std::optional<QuantMode> written_as = std::nullopt);
// The halves alone (flex_awq_ssz, awq, dynamic_cache).
WeightSpec ToWeightSpec(const QConfig& weight);
ActivationSpec ToActivationSpec(const QConfig& act);

}  // namespace modelslim
