// Rules between the fields of qconfigs, all checked while parsing.
#pragma once

#include "config/recipe/quant_mode.h"
#include "config/recipe/reader.h"

namespace modelslim {

// A pair that a linear layer shall become: both halves known, the pair legal, `ext` complete. The reader stands at the
// owner.
void CheckPair(Reader& reader, const LinearQConfig& qconfig, PairUse use);
// A pair that is only simulated: both halves known.
void CheckHalves(Reader& reader, const LinearQConfig& qconfig);
// A lone half at `key` of the owner.
void CheckActivationHalf(Reader& reader, const QConfig& q);
void CheckWeightHalf(Reader& reader, const QConfig& q);

}  // namespace modelslim
