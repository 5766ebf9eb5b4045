#include "config/recipe/quant_mode.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"

namespace modelslim {
namespace {

enum class Sym : uint8_t { kTrue, kFalse, kAny };

// One kind of half: what the registry of quantizers is keyed by. Methods are separated by blanks; "" accepts any text.
struct Half {
  QScope scope;
  QDType dtype;
  Sym symmetric;
  std::string_view methods;
};

constexpr std::array<Half, 11> kActivations{{
    {QScope::kPerTensor, QDType::kInt8, Sym::kAny, "minmax histogram"},
    {QScope::kPerTensor, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
    {QScope::kPerToken, QDType::kInt8, Sym::kAny, "minmax"},
    {QScope::kPerToken, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
    {QScope::kPerChannel, QDType::kInt8, Sym::kAny, "minmax"},
    {QScope::kPerChannel, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
    {QScope::kPdMix, QDType::kInt8, Sym::kFalse, "minmax"},
    {QScope::kPerBlock, QDType::kMxfp8, Sym::kTrue, "minmax"},
    {QScope::kPerBlock, QDType::kMxfp4, Sym::kTrue, "minmax"},
    {QScope::kDualScale, QDType::kMxfp4, Sym::kTrue, "dualscale"},
    {QScope::kPerTensor, QDType::kFloat, Sym::kAny, "none"},
}};

constexpr std::array<Half, 12> kWeights{{
    {QScope::kPerChannel, QDType::kInt8, Sym::kTrue, "minmax ssz gptq descent"},
    {QScope::kPerChannel, QDType::kInt8, Sym::kFalse, "gptq"},
    {QScope::kPerChannel, QDType::kInt4, Sym::kTrue, "minmax ssz gptq descent"},
    {QScope::kPerChannel, QDType::kInt4, Sym::kFalse, "gptq"},
    {QScope::kPerGroup, QDType::kInt8, Sym::kTrue, "gptq descent"},
    {QScope::kPerGroup, QDType::kInt8, Sym::kFalse, "gptq"},
    {QScope::kPerGroup, QDType::kInt4, Sym::kTrue, "gptq descent"},
    {QScope::kPerGroup, QDType::kInt4, Sym::kFalse, "gptq"},
    {QScope::kPerChannel, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
    {QScope::kPerBlock, QDType::kMxfp8, Sym::kTrue, "minmax mse_round"},
    {QScope::kPerBlock, QDType::kMxfp4, Sym::kTrue, "minmax ceil_x fouroversix"},
    {QScope::kDualScale, QDType::kMxfp4, Sym::kTrue, "dualscale"},
}};

struct Pair {
  Half act;
  Half weight;
  QuantMode mode;
};

constexpr Half kStatic{QScope::kPerTensor, QDType::kInt8, Sym::kAny, "minmax histogram"};
constexpr Half kDynamic{QScope::kPerToken, QDType::kInt8, Sym::kTrue, "minmax"};
constexpr Half kInt8Channel{QScope::kPerChannel, QDType::kInt8, Sym::kTrue, "minmax ssz gptq descent"};
constexpr Half kInt4Channel{QScope::kPerChannel, QDType::kInt4, Sym::kTrue, "minmax ssz gptq descent"};
constexpr Half kFloatAct{QScope::kPerTensor, QDType::kFloat, Sym::kAny, "none"};
constexpr Half kMx8{QScope::kPerBlock, QDType::kMxfp8, Sym::kTrue, "minmax"};
constexpr Half kMx4{QScope::kPerBlock, QDType::kMxfp4, Sym::kTrue, "minmax"};
constexpr Half kMx8Weight{QScope::kPerBlock, QDType::kMxfp8, Sym::kTrue, "minmax mse_round"};
constexpr Half kMx4Weight{QScope::kPerBlock, QDType::kMxfp4, Sym::kTrue, "minmax ceil_x fouroversix"};
constexpr Half kDual{QScope::kDualScale, QDType::kMxfp4, Sym::kTrue, "dualscale"};

// Source: the deployable pairs of msModelSlim 26.1.0. gptq trains no type of its own, so it goes wherever its weights
// do; descent is ours and goes wherever symmetric gptq does.
constexpr std::array<Pair, 14> kPairs{{
    {kStatic, kInt8Channel, QuantMode::kW8A8},
    {kDynamic, kInt8Channel, QuantMode::kW8A8Dynamic},
    {kDynamic, {QScope::kPerGroup, QDType::kInt8, Sym::kTrue, "gptq descent"}, QuantMode::kW8A8Dynamic},
    {kDynamic, kInt4Channel, QuantMode::kW4A8Dynamic},
    {{QScope::kPdMix, QDType::kInt8, Sym::kFalse, "minmax"}, kInt8Channel, QuantMode::kW8A8Mix},
    {{QScope::kPerToken, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
     {QScope::kPerChannel, QDType::kFp8E4M3, Sym::kTrue, "minmax"},
     QuantMode::kWFP8AFP8Dynamic},
    {kMx8, kMx8Weight, QuantMode::kW8A8MXFP8},
    {kMx8, kMx4Weight, QuantMode::kW4A8MXFP},
    {kMx4, kMx4Weight, QuantMode::kW4A4MXFP4},
    {kDual, kDual, QuantMode::kW4A4MXFP4DualScale},
    {kFloatAct, kInt8Channel, QuantMode::kW8A16},
    {kFloatAct, {QScope::kPerChannel, QDType::kInt8, Sym::kFalse, "gptq"}, QuantMode::kW8A16},
    {kFloatAct, {QScope::kPerGroup, QDType::kInt8, Sym::kTrue, "gptq descent"}, QuantMode::kW8A16},
    {kFloatAct, {QScope::kPerGroup, QDType::kInt8, Sym::kFalse, "gptq"}, QuantMode::kW8A16},
}};

constexpr Half kTrainedInt8{QScope::kPerToken, QDType::kInt8, Sym::kTrue, ""};
constexpr Half kTrainedInt4{QScope::kPerToken, QDType::kInt4, Sym::kTrue, ""};
constexpr Half kTrainedFloat{QScope::kPerTensor, QDType::kFloat, Sym::kAny, ""};

// autoround takes any method name.
constexpr std::array<Pair, 7> kTrainedPairs{{
    {kTrainedInt8, {QScope::kPerChannel, QDType::kInt8, Sym::kAny, ""}, QuantMode::kW8A8Dynamic},
    {kTrainedInt8, {QScope::kPerGroup, QDType::kInt8, Sym::kAny, ""}, QuantMode::kW8A8Dynamic},
    {kTrainedInt8, {QScope::kPerChannel, QDType::kInt4, Sym::kTrue, ""}, QuantMode::kW4A8Dynamic},
    {kTrainedInt4, {QScope::kPerChannel, QDType::kInt4, Sym::kAny, ""}, QuantMode::kW4A4Dynamic},
    {kTrainedInt4, {QScope::kPerGroup, QDType::kInt4, Sym::kAny, ""}, QuantMode::kW4A4Dynamic},
    {kTrainedFloat, {QScope::kPerChannel, QDType::kInt8, Sym::kAny, ""}, QuantMode::kW8A16},
    {kTrainedFloat, {QScope::kPerGroup, QDType::kInt8, Sym::kAny, ""}, QuantMode::kW8A16},
}};

std::span<const Pair> PairsFor(PairUse use) {
  return use == PairUse::kAutoround ? std::span<const Pair>(kTrainedPairs) : std::span<const Pair>(kPairs);
}

bool HasWord(std::string_view words, std::string_view word) {
  if (words.empty()) return true;
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool SymmetryFits(Sym sym, bool symmetric) { return sym == Sym::kAny || (sym == Sym::kTrue) == symmetric; }

// A float operand has no scale, so its scope means nothing.
bool ScopeFits(const Half& half, const QConfig& q) {
  return half.scope == q.scope || (half.dtype == QDType::kFloat && q.dtype == QDType::kFloat);
}

bool Fits(const Half& half, const QConfig& q) {
  return ScopeFits(half, q) && half.dtype == q.dtype && SymmetryFits(half.symmetric, q.symmetric) &&
         HasWord(half.methods, q.method);
}

std::string Text(const Half& half) {
  if (half.dtype == QDType::kFloat) return "float (act left out)";
  std::string out = std::string(EnumName(half.scope)) + " " + std::string(EnumName(half.dtype));
  if (half.symmetric == Sym::kTrue) out += " symmetric";
  if (half.symmetric == Sym::kFalse) out += " asymmetric";
  std::string methods(half.methods);
  std::replace(methods.begin(), methods.end(), ' ', '/');
  return methods.empty() ? out : out + " " + methods;
}

template <class List>
std::vector<std::string> Texts(const List& halves) {
  std::vector<std::string> out;
  for (const Half& each : halves) out.push_back(Text(each));
  return out;
}

// The change that makes `q` fit one of the halves, when one field is enough.
template <class List>
std::string OneChange(const QConfig& q, const List& halves) {
  for (const Half& half : halves) {
    const bool scope = ScopeFits(half, q), dtype = half.dtype == q.dtype;
    const bool symmetric = SymmetryFits(half.symmetric, q.symmetric), method = HasWord(half.methods, q.method);
    if (scope + dtype + symmetric + method != 3) continue;
    if (!symmetric) return half.symmetric == Sym::kTrue ? "symmetric: true" : "symmetric: false";
    if (!method) return "method: " + std::string(half.methods.substr(0, half.methods.find(' ')));
    if (!scope) return "scope: " + std::string(EnumName(half.scope));
    return "dtype: " + std::string(EnumName(half.dtype));
  }
  return "";
}

QConfig FloatAct() { return {}; }

}  // namespace

std::optional<QuantMode> TryModeOf(const LinearQConfig& qconfig, PairUse use) {
  const QConfig act = qconfig.act.value_or(FloatAct());
  for (const Pair& pair : PairsFor(use)) {
    if (Fits(pair.act, act) && Fits(pair.weight, qconfig.weight)) return pair.mode;
  }
  return std::nullopt;
}

QuantMode ModeOf(const LinearQConfig& qconfig, PairUse use) {
  const std::optional<QuantMode> mode = TryModeOf(qconfig, use);
  if (mode) return *mode;
  throw Error(ErrorCode::kUnsupported, qconfig.weight.path + ": activation " +
                                           (qconfig.act ? QConfigText(*qconfig.act) : "float") + " and weight " +
                                           QConfigText(qconfig.weight) + " do not go together");
}

bool IsRegisteredActivation(const QConfig& act) {
  return std::any_of(kActivations.begin(), kActivations.end(), [&](const Half& half) { return Fits(half, act); });
}

bool IsRegisteredWeight(const QConfig& weight) {
  return std::any_of(kWeights.begin(), kWeights.end(), [&](const Half& half) { return Fits(half, weight); });
}

std::vector<std::string> RegisteredActivations() { return Texts(kActivations); }
std::vector<std::string> RegisteredWeights() { return Texts(kWeights); }
std::string ActivationChange(const QConfig& act) { return OneChange(act, kActivations); }
std::string WeightChange(const QConfig& weight) { return OneChange(weight, kWeights); }

std::vector<std::string> PartnersOfActivation(const QConfig& act, PairUse use) {
  std::vector<std::string> out;
  for (const Pair& pair : PairsFor(use)) {
    if (Fits(pair.act, act)) out.push_back(Text(pair.weight));
  }
  return out;
}

std::vector<std::string> PartnersOfWeight(const QConfig& weight, PairUse use) {
  std::vector<std::string> out;
  for (const Pair& pair : PairsFor(use)) {
    if (Fits(pair.weight, weight)) out.push_back(Text(pair.act));
  }
  return out;
}

std::vector<LegalPair> LegalPairs(PairUse use) {
  std::vector<LegalPair> out;
  for (const Pair& pair : PairsFor(use)) out.push_back({Text(pair.act), Text(pair.weight), pair.mode});
  return out;
}

std::string QConfigText(const QConfig& q) {
  return std::string(EnumName(q.scope)) + " " + std::string(EnumName(q.dtype)) +
         (q.symmetric ? " symmetric " : " asymmetric ") + q.method;
}

bool NeedsData(const LinearQConfig& qconfig) {
  if (qconfig.weight.method == "gptq" || qconfig.weight.method == "descent") return true;
  if (!qconfig.act || qconfig.act->dtype == QDType::kFloat) return false;
  const QScope scope = qconfig.act->scope;
  return scope != QScope::kPerToken && scope != QScope::kPerBlock && scope != QScope::kDualScale;
}

}  // namespace modelslim
