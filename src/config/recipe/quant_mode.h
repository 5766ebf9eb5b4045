// Which pairs of an activation and a weight configuration exist, and what a linear layer becomes by them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/recipe/qconfig.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// Who asks: autoround trains pairs that linear_quant cannot calibrate, and takes any method name.
enum class PairUse { kLinearQuant, kAutoround };

// The type of a legal pair; nothing when the pair is illegal. Recipes that were parsed hold legal pairs only.
std::optional<QuantMode> TryModeOf(const LinearQConfig& qconfig, PairUse use);
// As TryModeOf; throws Error(kUnsupported) for an illegal pair.
QuantMode ModeOf(const LinearQConfig& qconfig, PairUse use = PairUse::kLinearQuant);

// Whether the registry has a quantizer for this half. The registered ones are texts like "per_token int8 symmetric
// minmax".
bool IsRegisteredActivation(const QConfig& act);
bool IsRegisteredWeight(const QConfig& weight);
std::vector<std::string> RegisteredActivations();
std::vector<std::string> RegisteredWeights();
// The halves that go with an activation (with a weight); none when nothing does.
std::vector<std::string> PartnersOfActivation(const QConfig& act, PairUse use);
std::vector<std::string> PartnersOfWeight(const QConfig& weight, PairUse use);

// "symmetric: true" and the like: the one change that makes a half known; "" when one is not enough.
std::string ActivationChange(const QConfig& act);
std::string WeightChange(const QConfig& weight);

// Every legal pair, for the reference pages.
struct LegalPair {
  std::string act;
  std::string weight;
  QuantMode mode;
};
std::vector<LegalPair> LegalPairs(PairUse use);

// "per_token int8 symmetric minmax".
std::string QConfigText(const QConfig& qconfig);

// Whether calibration data are needed to quantize with this configuration.
bool NeedsData(const LinearQConfig& qconfig);

}  // namespace modelslim
