#include "config/recipe/qconfig_rules.h"

#include <algorithm>

#include "config/schema/schema.h"

namespace modelslim {
namespace {

std::string ChangeTip(const std::string& change) {
  return change.empty() ? "" : "one change makes it legal: " + change;
}

Remark Unsupported(std::string expected, std::string tip) {
  Remark remark;
  remark.expected = std::move(expected);
  remark.tip = std::move(tip);
  remark.code = ErrorCode::kUnsupported;
  return remark;
}

// Says it at the half, whose path is known, wherever the reader stands.
void ErrorAt(Reader& reader, const QConfig& q, std::string message, Remark remark) {
  reader.ErrorAt(q.path, q.pos, std::move(message), std::move(remark));
}

void CheckAutoroundHalf(Reader& reader, const QConfig& q, QConfigRole role) {
  CheckExt(reader, q, role);
  if ((q.scope == QScope::kPerGroup) == q.ext.group_size.has_value()) return;
  Remark remark;
  if (q.scope == QScope::kPerGroup) {
    remark.tip = "add ext: {group_size: 256}";
    ErrorAt(reader, q, "scope per_group needs ext.group_size", std::move(remark));
  } else {
    remark.tip = "delete ext.group_size, or use scope: per_group";
    ErrorAt(reader, q, "ext.group_size goes only with scope per_group", std::move(remark));
  }
}

void CheckDualScale(Reader& reader, const QConfig& q) {
  if (q.method != "dualscale" || q.ext.dual_block_size) return;
  Remark remark;
  remark.tip = "add ext: {dual_block_size: 512}";
  ErrorAt(reader, q, "method dualscale needs ext.dual_block_size", std::move(remark));
}

bool IsMx(const QConfig& q) { return q.dtype == QDType::kMxfp8 || q.dtype == QDType::kMxfp4; }
bool IsWeight(QConfigRole role, const QConfig& q, std::string_view method) {
  return role == QConfigRole::kWeight && q.method == method;
}
bool SearchesCeilX(const QConfig& q) { return q.ext.enable_search; }

// Whether a key of ext has an effect; the reference ignores the others silently, here they are warned about.
struct ExtUse {
  std::string_view key;
  std::string_view used_by;
  bool (*used)(QConfigRole, const QConfig&);
};
using Role = QConfigRole;
constexpr ExtUse kExtUses[] = {
    {"step", "method ssz", [](Role role, const QConfig& q) { return IsWeight(role, q, "ssz"); }},
    {"axes", "the MX data types", [](Role, const QConfig& q) { return IsMx(q); }},
    {"group_size", "scope per_group",
     [](Role role, const QConfig& q) {
       return q.scope == QScope::kPerGroup || role == Role::kTrained || role == Role::kTrainedWeight;
     }},
    {"scale_dtype", "autoround_quant weights", [](Role role, const QConfig&) { return role == Role::kTrainedWeight; }},
    {"percdamp", "method gptq", [](Role role, const QConfig& q) { return IsWeight(role, q, "gptq"); }},
    {"block_size", "method gptq", [](Role role, const QConfig& q) { return IsWeight(role, q, "gptq"); }},
    {"aggregation_type", "static minmax activations of linear_quant",
     [](Role role, const QConfig& q) {
       return role == Role::kActivation && q.method == "minmax" &&
              (q.scope == QScope::kPerTensor || q.scope == QScope::kPdMix);
     }},
    {"dual_block_size", "method dualscale", [](Role, const QConfig& q) { return q.method == "dualscale"; }},
    {"ceil_x_value", "method ceil_x without enable_search",
     [](Role role, const QConfig& q) { return IsWeight(role, q, "ceil_x") && !SearchesCeilX(q); }},
    {"enable_search", "method ceil_x", [](Role role, const QConfig& q) { return IsWeight(role, q, "ceil_x"); }},
    {"search_min", "method ceil_x with enable_search: true",
     [](Role role, const QConfig& q) { return IsWeight(role, q, "ceil_x") && SearchesCeilX(q); }},
    {"search_max", "method ceil_x with enable_search: true",
     [](Role role, const QConfig& q) { return IsWeight(role, q, "ceil_x") && SearchesCeilX(q); }},
    {"search_step", "method ceil_x with enable_search: true",
     [](Role role, const QConfig& q) { return IsWeight(role, q, "ceil_x") && SearchesCeilX(q); }},
};

// Blocks lie along the last axis: of a weight [out, in] or of activations [batch, tokens, channels].
void CheckAxes(Reader& reader, const QConfig& q, QConfigRole role) {
  if (!IsMx(q) || q.ext.axes.empty()) return;
  const int64_t last = role == QConfigRole::kWeight ? 1 : 2;
  const auto is_last = [&](int64_t axis) { return axis == -1 || axis == last; };
  if (q.ext.axes.size() == 1 && is_last(q.ext.axes.front())) return;
  SourcePos pos = q.pos;
  for (const ExtKey& key : q.ext_keys) {
    if (key.name == "axes") pos = key.pos;
  }
  Remark remark = Unsupported("-1", "leave axes out, or give axes: -1");
  reader.ErrorAt(q.path + ".ext.axes", pos, "blocks along another axis than the last are not available",
                 std::move(remark));
}

void CheckPairing(Reader& reader, const LinearQConfig& qconfig, PairUse use) {
  if (TryModeOf(qconfig, use)) return;
  const QConfig act = qconfig.act.value_or(QConfig{});
  const Reader::Step step(reader, "qconfig");
  std::vector<std::string> partners = PartnersOfActivation(act, use);
  std::string expected = "a weight of " + JoinWords(partners) + " for this activation";
  std::string tip;
  if (partners.empty()) {
    partners = PartnersOfWeight(qconfig.weight, use);
    expected = "an activation of " + JoinWords(partners) + " for this weight";
    LinearQConfig turned = qconfig;
    if (turned.act) turned.act->symmetric = !turned.act->symmetric;
    if (TryModeOf(turned, use)) tip = ChangeTip(act.symmetric ? "act.symmetric: false" : "act.symmetric: true");
  }
  if (partners.empty()) expected = "one of the pairs on the reference page of qconfig";
  Remark remark = Unsupported(std::move(expected), std::move(tip));
  const std::string act_text = qconfig.act ? QConfigText(act) : "float (no act)";
  reader.Error(qconfig.act ? act.pos : qconfig.pos,
               "activation " + act_text + " does not go with weight " + QConfigText(qconfig.weight), std::move(remark));
}

}  // namespace

void CheckExt(Reader& reader, const QConfig& q, QConfigRole role) {
  for (const ExtKey& key : q.ext_keys) {
    const auto use = std::find_if(std::begin(kExtUses), std::end(kExtUses),
                                  [&](const ExtUse& each) { return each.key == key.name; });
    if (use == std::end(kExtUses) || use->used(role, q)) continue;
    reader.WarnAt(q.path + ".ext", key.pos,
                  key.name + " has no effect here: it is for " + std::string(use->used_by) + " only");
  }
  CheckAxes(reader, q, role);
}

namespace {

void CheckActivationHalf(Reader& reader, const QConfig& q, QConfigRole role) {
  CheckExt(reader, q, role);
  if (IsRegisteredActivation(q)) return CheckDualScale(reader, q);
  ErrorAt(reader, q, "no activation quantizer for " + QConfigText(q),
          Unsupported(JoinWords(RegisteredActivations()), ChangeTip(ActivationChange(q))));
}

}  // namespace

void CheckWeightHalf(Reader& reader, const QConfig& q) {
  CheckExt(reader, q, QConfigRole::kWeight);
  if (IsRegisteredWeight(q)) return CheckDualScale(reader, q);
  ErrorAt(reader, q, "no weight quantizer for " + QConfigText(q),
          Unsupported(JoinWords(RegisteredWeights()), ChangeTip(WeightChange(q))));
}

void CheckHalves(Reader& reader, const LinearQConfig& qconfig) {
  if (qconfig.act) CheckActivationHalf(reader, *qconfig.act, QConfigRole::kSimulatedActivation);
  CheckWeightHalf(reader, qconfig.weight);
}

void CheckPair(Reader& reader, const LinearQConfig& qconfig, PairUse use) {
  const size_t errors = reader.error_count();
  if (use == PairUse::kAutoround) {
    if (qconfig.act) CheckAutoroundHalf(reader, *qconfig.act, QConfigRole::kTrained);
    CheckAutoroundHalf(reader, qconfig.weight, QConfigRole::kTrainedWeight);
  } else {
    if (qconfig.act) CheckActivationHalf(reader, *qconfig.act, QConfigRole::kActivation);
    CheckWeightHalf(reader, qconfig.weight);
  }
  if (reader.error_count() == errors) CheckPairing(reader, qconfig, use);
}

}  // namespace modelslim
