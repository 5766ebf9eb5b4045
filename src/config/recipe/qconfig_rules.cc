#include "config/recipe/qconfig_rules.h"

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

void CheckAutoroundHalf(Reader& reader, const QConfig& q) {
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

void CheckActivationHalf(Reader& reader, const QConfig& q) {
  if (IsRegisteredActivation(q)) return CheckDualScale(reader, q);
  ErrorAt(reader, q, "no activation quantizer for " + QConfigText(q),
          Unsupported(JoinWords(RegisteredActivations()), ChangeTip(ActivationChange(q))));
}

void CheckWeightHalf(Reader& reader, const QConfig& q) {
  if (IsRegisteredWeight(q)) return CheckDualScale(reader, q);
  ErrorAt(reader, q, "no weight quantizer for " + QConfigText(q),
          Unsupported(JoinWords(RegisteredWeights()), ChangeTip(WeightChange(q))));
}

void CheckHalves(Reader& reader, const LinearQConfig& qconfig) {
  if (qconfig.act) CheckActivationHalf(reader, *qconfig.act);
  CheckWeightHalf(reader, qconfig.weight);
}

void CheckPair(Reader& reader, const LinearQConfig& qconfig, PairUse use) {
  const size_t errors = reader.error_count();
  if (use == PairUse::kAutoround) {
    if (qconfig.act) CheckAutoroundHalf(reader, *qconfig.act);
    CheckAutoroundHalf(reader, qconfig.weight);
  } else {
    CheckHalves(reader, qconfig);
  }
  if (reader.error_count() == errors) CheckPairing(reader, qconfig, use);
}

}  // namespace modelslim
