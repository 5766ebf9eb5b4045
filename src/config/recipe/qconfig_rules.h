// Rules between the fields of qconfigs, all checked while parsing.
#pragma once

#include "config/recipe/quant_mode.h"
#include "config/recipe/reader.h"

namespace modelslim {

// What a qconfig describes. It decides which keys of `ext` have an effect; the others are warned about.
enum class QConfigRole { kActivation, kWeight, kSimulatedActivation, kTrained, kTrainedWeight, kOther };

// A pair that a linear layer shall become: both halves known, the pair legal, `ext` complete. The reader stands at the
// owner.
void CheckPair(Reader& reader, const LinearQConfig& qconfig, PairUse use);
// A pair that is only simulated: both halves known.
void CheckHalves(Reader& reader, const LinearQConfig& qconfig);
// A lone half, wherever the reader stands.
void CheckWeightHalf(Reader& reader, const QConfig& q);
// Warns of the keys of `ext` that change nothing in this role, and refuses axes that no quantizer works along.
void CheckExt(Reader& reader, const QConfig& q, QConfigRole role);

}  // namespace modelslim
